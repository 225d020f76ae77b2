"""What the number plan tells of a phone number: its one spelling, its country, its zones, its kind."""

import re
from enum import StrEnum
from typing import Protocol

#: E.164 as systems must write it. ITU-T allows 15 digits; fewer than seven reach nobody abroad.
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class NumberType(StrEnum):
    """A kind of number that costs its caller, or reaches something else than one person's line."""

    PREMIUM = "premium"
    TOLL_FREE = "toll_free"
    SHARED_COST = "shared_cost"
    PERSONAL = "personal"
    PAGER = "pager"
    VOICEMAIL = "voicemail"  # access to a mailbox


class NumberPlan(Protocol):
    def canonical(self, phone: str) -> str | None:
        """The only form in which a number is stored, compared, locked and dialed.

        Takes `+` and digits. A doubled country code and a trunk zero are dropped. None for everything else, and for
        numbers that cannot exist, in length or in form.
        """
        ...

    def read(self, text: str, country: str | None) -> str | None:
        """The canonical form of what carriers, agents and files write, however they write it.

        A national number is read in `country`. None for callers who withhold theirs and for what is no number.
        """
        ...

    def region(self, phone: str) -> str | None:
        """ISO 3166 country of an E.164 number, None if it has none."""
        ...

    def time_zones(self, phone: str) -> tuple[str, ...]:
        """Every IANA zone the number may lie in; empty if unknown."""
        ...

    def number_type(self, phone: str) -> NumberType | None:
        """None: an ordinary number."""
        ...
