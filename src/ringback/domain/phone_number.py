"""Facts of the number plan about a phone number: its canonical form, country, zones and kind."""

import re
from enum import StrEnum
from typing import Protocol

#: E.164 as systems must write it. ITU-T allows 15 digits. Fewer than seven reach no phone abroad.
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class NumberType(StrEnum):
    """A kind of number that costs its caller, or does not reach one person's phone."""

    PREMIUM = "premium"
    TOLL_FREE = "toll_free"
    SHARED_COST = "shared_cost"
    PERSONAL = "personal"
    PAGER = "pager"
    VOICEMAIL = "voicemail"  # access to a mailbox


class NumberPlan(Protocol):
    def canonical(self, phone: str) -> str | None:
        """The only form in which a number is stored, compared, locked and dialed.

        Accepts `+` and digits. Drops a doubled country code and a trunk zero. Returns None for everything else, and for
        numbers that cannot exist by length or form.
        """
        ...

    def read(self, text: str, country: str | None) -> str | None:
        """The canonical form of a number in any spelling of carriers, agents and files.

        Reads a national number in `country`. Returns None for withheld numbers and for text that is no number.
        """
        ...

    def region(self, phone: str) -> str | None:
        """ISO 3166 country of an E.164 number. None if it has none."""
        ...

    def time_zones(self, phone: str) -> tuple[str, ...]:
        """Every IANA zone the number may belong to. Empty if unknown."""
        ...

    def number_type(self, phone: str) -> NumberType | None:
        """None: an ordinary number."""
        ...
