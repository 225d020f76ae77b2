"""Clock times ("3pm", "half past three", "1530", "noon"), their part of the day, and their zone ("3 PM Eastern")."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ringback.adapters.spoken_time.questions import ASK_ZONE, Unclear
from ringback.adapters.spoken_time.words import MONTH
from ringback.domain.instant import say_zone
from ringback.domain.time_zone import CHICAGO, ZoneAnswer, clock_of
from ringback.domain.zone_names import resolve_zone_name

_PERIOD = re.compile(
    r"\b(?:(?P<tonight>tonight)|(?P<this>this )?(?:in the |at )?(?P<name>morning|afternoon|evening|night))\b"
)
# The hours of each part of the day. "12 at night" and "2 at night" are left out, because their date is unclear.
_PERIOD_HOURS = {
    "morning": range(1, 12),
    "afternoon": range(12, 19),
    "evening": range(16, 24),
    "night": range(17, 24),
}
# Replaces a part of the day in the text.
_MARK = "@"

_AT = r"(?:\bat )?"
_HOUR = r"\b(?P<hour>\d{1,2})"
_END = r"(?: ?(?P<meridiem>am|pm)\b)?(?!\S)"
# From the most to the least explicit. "5 to 7" is no clock time, because it may be a span of hours.
_CLOCKS = (
    re.compile(rf"{_AT}(?:\b12 )?\b(?P<noon>noon|midday)\b"),
    re.compile(rf"{_AT}(?:\b12 )?\b(?P<midnight>midnight)\b"),
    re.compile(rf"{_AT}(?P<part>\bhalf) past {_HOUR}(?: oclock)?{_END}"),
    re.compile(rf"{_AT}(?:\ba )?(?P<part>\bquarter|\b[1-9]\d?(?: minutes)?) (?:past|after) {_HOUR}(?: oclock)?{_END}"),
    re.compile(
        rf"{_AT}(?:\ba )?(?P<part>\bquarter|\b[1-9]\d? minutes) (?P<before>to|before) {_HOUR}(?: oclock)?{_END}"
    ),
    re.compile(rf"{_AT}{_HOUR}:(?P<minute>\d{{2}})(?::00)?{_END}"),
    re.compile(rf"{_AT}{_HOUR} (?:oh )?(?P<minute>(?<=oh )\d|\d{{2}}){_END}"),
    re.compile(rf"{_AT}\b(?P<hour>\d\d)(?P<minute>\d\d) ?(?P<military>hours|hrs)\b"),
    re.compile(rf"{_AT}\b(?P<hour>\d{{1,2}})(?P<minute>[0-5]\d){_END}"),
    re.compile(rf"{_AT}{_HOUR}(?: oclock)?(?: ?(?P<meridiem>am|pm))(?!\S)"),
    re.compile(rf"{_AT}{_HOUR} oclock(?!\S)"),
    re.compile(r"\bat (?P<hour>\d{1,2})(?!\S)"),
    re.compile(rf"{_HOUR}(?= {_MARK}|$)"),
    re.compile(r"^(?P<hour>\d{1,2})(?= \S)"),
)
# "December 3 2030" and "December third twenty thirty" may name a year as well as half past eight in the evening.
_YEAR = re.compile(r"(?:19|20|21) ?\d\d")
_DATE = re.compile(rf"\b{MONTH}\b|/")

_OWN = re.compile(r"\b(?:(?:in )?(?:my|our) (?:own )?(?:local )?time(?: ?zone)?|local time|(?:over )?here)\b")
_OTHERS = re.compile(r"\byour (?:local )?time(?: ?zone)?\b")
_NAMED = re.compile(
    r"\b(?:(?:in|on) )?(?:the )?(?:us )?(?P<name>eastern|central|mountain|pacific|alaskan?|hawaiian?|atlantic|"
    r"[ecmp]t|[ecmpah][sd]t|ak[sd]t|utc)\b(?P<time>(?: (?:standard|daylight|savings?|time|zone|timezone)\b)*)"
)
_PLACE = re.compile(r"\b(?P<place>(?:[a-z]+ ){1,3})time\b")


@dataclass(frozen=True, slots=True)
class Clock:
    """A recognised clock time. `hours` has one entry, or two if the half of the day is open.

    It has none if the words contradict each other.
    """

    hours: tuple[int, ...]
    minute: int = 0
    is_midnight: bool = False


def clocks_in(text: str, period: str | None) -> Iterator[tuple[Clock, str]]:
    """Yield every reading of a part of the text as a clock time, with the other words, which must be a day."""
    for match in (match for pattern in _CLOCKS for match in pattern.finditer(text)):
        may_be_year = _YEAR.fullmatch(match[0].strip()) and _DATE.search(text)
        clock = None if may_be_year else _clock(match.groupdict(), period)
        if clock is not None:
            yield clock, bare_day(f"{text[: match.start()]} {text[match.end() :]}")


def without_period(plain: str) -> tuple[str, str | None]:
    """Replace the part of the day ("in the morning", "tonight") by a mark, and return its name too."""
    match = _PERIOD.search(plain)
    if not match:
        return plain, None
    mark = f"today {_MARK}" if match["tonight"] or match["this"] else _MARK
    before, after = plain[: match.start()], plain[match.end() :]
    return " ".join(f"{before} {mark} {after}".split()), match["name"] or "night"


def bare_day(text: str) -> str:
    return " ".join(word for word in text.split() if word not in ("at", "on", "for", _MARK))


def _clock(parts: dict[str, str | None], period: str | None) -> Clock | None:
    """Build the clock time. None: the numbers are no clock time."""
    if parts.get("midnight"):
        return Clock((0,), is_midnight=True)
    digits = parts.get("hour") or "12"
    if part := parts.get("part"):
        minute = {"half": 30, "quarter": 15}.get(part) or int(part.split()[0])
    else:
        minute = int(parts.get("minute") or 0)
    hour, meridiem = int(digits), "pm" if parts.get("noon") else parts.get("meridiem")
    if hour > 23 or minute > 59:
        return None
    # The hours of the day that the hour on the clock may mean.
    hours: tuple[int, ...] = (hour % 12, hour % 12 + 12)
    if meridiem is not None:
        hours = (hour % 12 + (12 if meridiem == "pm" else 0),) if 1 <= hour <= 12 else ()
    elif digits.startswith("0") or parts.get("military") or hour > 12:
        hours = (hour,)
    if parts.get("before"):
        # "A quarter to twelve pm" may be 11:45 in the morning or at night. Before midnight it is another date.
        is_unclear = (meridiem and hours == (12,)) or hours == (0,)
        hours, minute = () if is_unclear else tuple(sorted((hour - 1) % 24 for hour in hours)), 60 - minute
    if period is not None:
        hours = tuple(hour for hour in hours if hour in _PERIOD_HOURS[period])
    return Clock(hours, minute)


def without_zone(plain: str, near: tuple[str, ...]) -> tuple[str, str | None]:
    """Return the words without the zone, and the zone's name. None means the person's own zone.

    `near` are the person's possible zones. Raises Unclear if the words may mean several zones.
    """
    if _OTHERS.search(plain):
        raise Unclear(ASK_ZONE)
    text, is_own = _OWN.subn(" ", plain)
    rest, answer = _named(text, near)
    if answer is None:
        return " ".join(rest.split()), None
    if answer.zone is None:
        choices = " or ".join(map(say_zone, answer.candidates))
        raise Unclear(f"Is that {choices}?" if len(answer.candidates) > 1 else ASK_ZONE)
    if is_own and near and clock_of(answer.zone) not in map(clock_of, near):
        raise Unclear(ASK_ZONE)
    return " ".join(rest.split()), answer.zone


def _named(text: str, near: tuple[str, ...]) -> tuple[str, ZoneAnswer | None]:
    """Return the words around a zone, and the zone's possible meanings. None: the words name no zone."""
    if match := _NAMED.search(text):
        rest, name = f"{text[: match.start()]} {text[match.end() :]}", match["name"]
        if name == "utc":
            return rest, ZoneAnswer("UTC")
        if name == "ct":
            return rest, ZoneAnswer(CHICAGO)  # beside a clock time never Connecticut
        return rest, resolve_zone_name(f"{name.upper() if len(name) < 5 else name}{match['time']}", near)
    if match := _PLACE.search(text):
        words = match["place"].split()
        # The shortest name first, because the words before it belong to the day or the clock time: "3 am hawaii time".
        for start in reversed(range(len(words))):
            name = " ".join(words[start:])
            answer = resolve_zone_name(name, near) if len(name) > 2 else ZoneAnswer()
            if answer != ZoneAnswer():
                return f"{text[: match.start()]} {' '.join(words[:start])} {text[match.end() :]}", answer
    return text, None
