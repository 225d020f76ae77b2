"""Days ("tomorrow", "Tuesday next week", "the 5th", "12/25") and spans from now ("in two hours", "30 minutes")."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from ringback.adapters.spoken_time.questions import Unclear, which_day
from ringback.adapters.spoken_time.words import MONTH

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = r"(?P<weekday>monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_NEAR_DAYS = {
    "yesterday": -1,
    "today": 0,
    "later today": 0,
    "tomorrow": 1,
    "day after tomorrow": 2,
    "the day after tomorrow": 2,
}
_DAYS_AHEAD = re.compile(
    r"(?P<within>in )?(?P<count>an?|(?:a )?couple(?: of)?|\d{1,3}) (?P<unit>days?|weeks?)"
    r"(?: from (?P<start>now|today|tomorrow))?"
)
_WEEKS_FROM = re.compile(rf"(?P<count>a|\d{{1,2}}) weeks? from (?:this )?(?:coming )?{_WEEKDAY}")
_DAY_OF_MONTH = re.compile(r"(?:the )?(\d{1,2})(?:st|nd|rd|th)")
_NUMERIC_DATE = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.A)
_CALENDAR_DATE = re.compile(
    rf"(?=.*\b{MONTH}\b)"
    rf"(?:(?:the|of|(?P<month>{MONTH})|(?P<number>\d{{1,2}})(?:st|nd|rd|th)?|(?P<year>\d{{4}}))(?: |$))+"
)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
#: Weeks begin on Monday for some people and on Sunday for others.
_WEEK_STARTS = (0, 6)
_COUNT = r"(?P<%s>an?|\d{1,4}(?:\.\d{1,2})?|(?:a )?couple(?: of)?)"
_HOURS, _MINUTES = r"(?:hours?|hrs?)", r"(?:minutes?|mins?)"
_SPANS = (
    re.compile(rf"{_COUNT % 'hours'} ?{_HOURS}(?P<half> and (?:a half|30 minutes))?"),
    re.compile(rf"{_COUNT % 'hours'}(?P<half> and a half) {_HOURS}"),
    re.compile(rf"(?:{_COUNT % 'hours'} ?{_HOURS}(?: and)? )?{_COUNT % 'minutes'} ?{_MINUTES}"),
    re.compile(r"(?P<half>half an hour|a half hour|half hour)"),
    re.compile(r"(?P<quarters>a quarter|3 quarters) of an hour"),
)
_QUARTERS_MIN = {"a quarter": 15, "3 quarters": 45}


@dataclass(frozen=True, slots=True)
class Calendar:
    """The starting point of a day's name. With `clock`, today's weekday or day of the month may still be ahead.

    In the United States "12/1" is the first of December. Elsewhere it may be the twelfth of January.
    """

    now: datetime  # naive, the person's wall clock
    clock: time
    is_month_first: bool

    @property
    def today(self) -> date:
        return self.now.date()

    @property
    def first_ahead(self) -> date:
        return self.today if self.clock > self.now.time() else self.today + timedelta(days=1)


def read_day(text: str, calendar: Calendar) -> date | None:
    """Return the date that the whole text names. None: a word was not understood. Raises Unclear."""
    named = re.fullmatch(rf"(?:(?:this )?(?:coming |upcoming )?|(?P<next>next )){_WEEKDAY}", text)
    if named:
        first = calendar.today + timedelta(days=1) if named["next"] else calendar.first_ahead
        day = first + timedelta(days=(_DAYS.index(named["weekday"]) - first.weekday()) % 7)
        weeks = {_week_of(day, start) - _week_of(calendar.today, start) for start in _WEEK_STARTS}
        if named["next"] and timedelta(0) in weeks:
            # "Next Tuesday" is unclear in the same week, from Monday or from Sunday: some mean the one after it.
            raise Unclear(which_day(day, day + timedelta(weeks=1)))
        return day
    if match := _WEEKS_FROM.fullmatch(text):
        start = read_day(match["weekday"], calendar)
        return start and start + timedelta(weeks=int(_count(match["count"])))
    beside = re.search(rf"(?:^{_WEEKDAY} | {_WEEKDAY.replace('weekday', 'last')}$)", text)
    if beside is None:
        return _day_without_weekday(text, calendar)
    rest = text.replace(beside[0], "", 1).strip()
    weekday = _DAYS.index(beside["weekday"] or beside["last"])
    if rest in ("next week", "of next week"):
        starts = [_week_of(calendar.today, start) + timedelta(weeks=1) for start in _WEEK_STARTS]
        one, other = sorted(start + timedelta(days=(weekday - start.weekday()) % 7) for start in starts)
        if one != other:
            raise Unclear(which_day(one, other))
        return one
    dated = _day_without_weekday(rest, calendar)
    return dated if dated is not None and dated.weekday() == weekday else None


def _week_of(day: date, start: int) -> date:
    """Return the first day of the day's week. `start` 0 is Monday, 6 is Sunday."""
    return day - timedelta(days=(day.weekday() - start) % 7)


def _day_without_weekday(text: str, calendar: Calendar) -> date | None:
    today = calendar.today
    if text in _NEAR_DAYS:
        return today + timedelta(days=_NEAR_DAYS[text])
    if (match := _DAYS_AHEAD.fullmatch(text)) and bool(match["within"]) != bool(match["start"]):
        days = int(_count(match["count"])) * (7 if match["unit"].startswith("week") else 1)
        return today + timedelta(days=days + (match["start"] == "tomorrow"))
    if match := _DAY_OF_MONTH.fullmatch(text):
        return _next_day_of_month(int(match[1]), calendar.first_ahead)
    if match := _NUMERIC_DATE.fullmatch(text):
        # "25/12" is clear everywhere. Outside the US "12/3" may be December or March.
        one, other, year = int(match[1]), int(match[2]), match[3]
        month, number = (one, other) if one <= 12 else (other, one)
        if other <= 12 and one <= 12 and one != other and not calendar.is_month_first:
            readings = (_numeric(month, number, year, calendar), _numeric(number, month, year, calendar))
            dates = [day for day in readings if day is not None]
            if len(dates) < 2:
                return dates[0] if dates else None
            raise Unclear(which_day(*dates))
        return _numeric(month, number, year, calendar)
    if _ISO_DATE.fullmatch(text):
        return _date_or_none(*map(int, text.split("-")))
    return _named_month(text, calendar.first_ahead)


def _next_day_of_month(number: int, first: date) -> date | None:
    for months in range(3):
        year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
        day = _date_or_none(year, month + 1, number)
        if day is not None and day >= first:
            return day
    return None


def _numeric(month: int, number: int, year: str | None, calendar: Calendar) -> date | None:
    if year is None:
        return _next_anniversary(month, number, calendar.first_ahead)
    return _date_or_none(int(year) + (2000 if len(year) == 2 else 0), month, number)


def _named_month(text: str, first: date) -> date | None:
    """Read a month's name with a day, and perhaps a year."""
    words = _CALENDAR_DATE.fullmatch(text)
    if words is None or words["number"] is None or len(re.findall(r"\d+", text)) > (2 if words["year"] else 1):
        return None
    if len(re.findall(rf"\b{MONTH}\b", text)) > 1:
        return None
    month, number = _MONTHS.split().index(words["month"][:3]) + 1, int(words["number"])
    if words["year"]:
        return _date_or_none(int(words["year"]), month, number)
    return _next_anniversary(month, number, first)


def _next_anniversary(month: int, number: int, first: date) -> date | None:
    days = (_date_or_none(year, month, number) for year in range(first.year, first.year + 9))
    return next((day for day in days if day is not None and day >= first), None)


def _date_or_none(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number)
    except ValueError:
        return None


def read_span(plain: str) -> timedelta | None:
    """Read a span of time. None: the words are no span."""
    length = re.sub(r"^in | (?:from now|later|time)$", "", plain)
    for pattern in _SPANS:
        if match := pattern.fullmatch(length):
            parts = match.groupdict()
            hours, minutes = (_count(parts.get(name)) for name in ("hours", "minutes"))
            extra = 30 if parts.get("half") else _QUARTERS_MIN.get(parts.get("quarters") or "", 0)
            return timedelta(hours=hours, minutes=minutes + extra)
    return None


def _count(word: str | None) -> float:
    """Read a number: "an" is 1, "a couple of" is 2, None is 0."""
    if word is None:
        return 0
    if "couple" in word:
        return 2
    return 1 if word in ("a", "an") else float(word)
