"""What was left of a person who was erased."""

from dataclasses import dataclass

#: Stands in place of the phone in the rows that are kept without the person. No phone begins with a letter.
ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Erased:
    """Counts by kind of row. `provider_call_ids` name what the provider still holds, and where it must be erased too;
    after this nothing of ours knows them."""

    rows: dict[str, int]
    provider_call_ids: tuple[str, ...]


class StillUnderWay(Exception):
    """A call to or from the person has not settled: what it would write afterwards could not be erased."""

    def __init__(self, attempts: int) -> None:
        super().__init__(
            f"calls to or from the person that are not settled: {attempts}; erase once they have ended and are analyzed"
        )
        self.attempts = attempts
