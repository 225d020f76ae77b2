"""Instants as systems and agents write them: an RFC 3339 date, time and offset."""

import re
from datetime import UTC, datetime

#: "0001" is how some programs write that they have no date; 9999 has instants that no other offset can name.
FIRST_YEAR, LAST_YEAR = 1900, 9998

#: RFC 3339, 5.6. Upper and lower case mean the same there. Seconds may be left out, as people do.
_INSTANT = re.compile(
    r"(?P<year>\d{4})-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


class NotAnInstant(ValueError):
    """The text is no instant. `lacks_offset`: it would be one with an offset."""

    def __init__(self, *, lacks_offset: bool = False) -> None:
        super().__init__("no RFC 3339 time")
        self.lacks_offset = lacks_offset


def read_instant(text: str) -> datetime:
    """The instant as UTC. Raises NotAnInstant.

    Python's own reader is not enough: it takes week dates, `15Z`, `+0000` and a blank in place of the T.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise NotAnInstant()
    if match["offset"] is None:
        raise NotAnInstant(lacks_offset=True)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise NotAnInstant() from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise NotAnInstant()
    return moment.astimezone(UTC)
