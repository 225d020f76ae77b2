"""Read instants as systems and agents write them, and phrase them as a voice speaks them."""

import re
from datetime import UTC, datetime, timedelta

#: Some programs write "0001" for no date. Instants of 9999 may overflow in another offset.
FIRST_YEAR, LAST_YEAR = 1900, 9998

#: RFC 3339, 5.6. Case does not matter there. Seconds may be left out, as people do.
_INSTANT = re.compile(
    r"(?P<year>\d{4})-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


class NotAnInstant(ValueError):
    """The text is no instant. `lacks_offset`: only the offset is missing."""

    def __init__(self, *, lacks_offset: bool = False) -> None:
        super().__init__("no RFC 3339 time")
        self.lacks_offset = lacks_offset


def read_instant(text: str) -> datetime:
    """Return the instant as UTC. Raises NotAnInstant.

    Python's own reader is too lenient: it accepts week dates, `15Z`, `+0000` and a blank in place of the T.
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


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def say_clock(local: datetime) -> str:
    """ "3 PM", "9:30 AM", "noon", "midnight"."""
    if local.minute == 0 and local.hour in (0, 12):
        return "noon" if local.hour else "midnight"
    minutes = f":{local.minute:02d}" if local.minute else ""
    return f"{local.hour % 12 or 12}{minutes} {'AM' if local.hour < 12 else 'PM'}"


def say_moment(local: datetime, now_local: datetime) -> str:
    """ "tomorrow at 3 PM"; both times are the wall clock of the person who hears it."""
    days_ahead = (local.date() - now_local.date()) // timedelta(days=1)
    day = f"on {DAYS[local.weekday()]}"
    if days_ahead in (0, 1):
        day = ("today", "tomorrow")[days_ahead]
    elif not 1 < days_ahead < 7:
        day += f", {MONTHS[local.month - 1]} {local.day},"
    return f"{day} at {say_clock(local)}"


def say_zone(zone: str) -> str:
    """ "America/New_York" is "New York time"."""
    return f"{zone.rpartition('/')[2].replace('_', ' ')} time"
