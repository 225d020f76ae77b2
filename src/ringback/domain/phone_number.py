"""A phone number that cannot reach a log or an error by accident."""

import re
from dataclasses import dataclass

# ITU-T E.164 allows 15 digits; fewer than seven reach nobody abroad.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True, repr=False)
class PhoneNumber:
    """One E.164 number. Printing it shows the first and the last two digits; `e164` is the number itself."""

    e164: str

    def __post_init__(self) -> None:
        if not isinstance(self.e164, str) or not _E164.fullmatch(self.e164):
            raise ValueError("A phone number is + and 7 to 15 digits, without spaces (E.164).")

    def __str__(self) -> str:
        # Seven dots always: their number must not tell the number's length.
        return f"{self.e164[:2]}{'•' * 7}{self.e164[-2:]}"

    def __repr__(self) -> str:
        return f"PhoneNumber({self})"


def parse_e164(text: str) -> PhoneNumber:
    """Strict: no spaces, no brackets, no guessing of a country. Raises ValueError, which never repeats the text."""
    return PhoneNumber(text)
