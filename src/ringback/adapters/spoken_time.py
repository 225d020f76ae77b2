"""When a person asked to be called, read from their words; never a guess, rather a question back."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ringback.ports import SpokenMoment, SpokenTime

MAX_WORDS_LENGTH = 160
ASK_DAY_AND_TIME = "Which day and what time would suit you for the call?"
ASK_DAY = "On which day should we call you at that time?"
ASK_TIME = "What time on that day would suit you?"
ASK_MIDNIGHT = "Do you mean midnight at the start or at the end of that day?"
# Outside these the instant cannot be written in every zone, and nobody asks for such a call.
FIRST_YEAR, LAST_YEAR = 1970, 2200

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
_NUMBER = {word: number for number, word in enumerate(_UNITS.split())} | _TENS
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth"
)
_ORDINAL = {word: number for number, word in enumerate(_ORDINALS.split(), 1)} | {"twentieth": 20, "thirtieth": 30}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = r"(?P<weekday>monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t|tember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)

_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?(?P<offset> ?(Z|[+-]\d{2}:?\d{2}))?", re.A
)
_FILLER = re.compile(
    r"\b(?:please|thanks|thank you|okay|ok|yes|yeah|um|uh|sure|(?:you can )?call (?:me )?(?:back)?|let'?s say|"
    r"(?:how |what )?about|around|roughly|approximately)\b"
)
_PERIOD = re.compile(
    r"\b(?:(?P<tonight>tonight)|(?P<this>this )?(?:in the |at )?(?P<name>morning|afternoon|evening|night))\b"
)
# The hours each part of the day may mean. "12 at night" and "2 at night" are left out: on which date would they be?
_PERIOD_HOURS = {
    "morning": range(1, 12),
    "afternoon": range(12, 19),
    "evening": range(16, 24),
    "night": range(17, 24),
}
# Where a part of the day stood in the text.
_MARK = "@"

_COUNT = r"(?P<%s>an?|\d{1,4}(?:\.\d{1,2})?)"
_SPANS = (
    re.compile(rf"{_COUNT % 'hours'} ?(?:hours?|hrs?)(?P<half> and (?:a half|30 minutes))?"),
    re.compile(rf"{_COUNT % 'hours'}(?P<half> and a half) (?:hours?|hrs?)"),
    re.compile(rf"(?:{_COUNT % 'hours'} ?(?:hours?|hrs?)(?: and)? )?{_COUNT % 'minutes'} ?(?:minutes?|mins?)"),
    re.compile(r"(?P<half>half an hour|a half hour|half hour)"),
)

_AT = r"(?:\bat )?"
_HOUR = r"\b(?P<hour>\d{1,2})"
_END = r"(?: ?(?P<meridiem>am|pm)\b)?(?!\S)"
# From the most to the least explicit. "5 to 7" is no clock time: it may be a span of hours.
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
    re.compile(rf"{_AT}{_HOUR}(?: oclock)?(?: ?(?P<meridiem>am|pm))(?!\S)"),
    re.compile(rf"{_AT}{_HOUR} oclock(?!\S)"),
    re.compile(r"\bat (?P<hour>\d{1,2})(?!\S)"),
    re.compile(rf"{_HOUR}(?= {_MARK}|$)"),
)


@dataclass(frozen=True, slots=True)
class _Clock:
    """A recognised clock time. `hours` has one entry; two if it was left open which half of the day is meant; none if
    the words contradict each other."""

    hours: tuple[int, ...]
    minute: int = 0
    is_midnight: bool = False


class DateparserSpokenTime(SpokenTime):
    """Own recognition of near days, spans and clock times; `dateparser` reads calendar dates that name their month.

    A phrase counts only if every word of it was understood. A weekday or a day of the month is the next one ahead;
    "next Tuesday" is the first Tuesday after today. What is explicitly past ("yesterday") is returned as it is.
    """

    def warm_up(self) -> None:
        """Loads dateparser and its English tables (0.25 s) now, or the first person who names a month waits for it."""
        _named_month("january 1", date(2024, 1, 1))

    def read(self, words: str, now_local: datetime) -> SpokenMoment:
        """Raises ValueError if `now_local` does not carry the contact's zone."""
        if now_local.tzinfo is None:
            raise ValueError("now_local must carry the contact's zone")
        text = words.strip()
        if len(text) > MAX_WORDS_LENGTH:
            return SpokenMoment(ask=ASK_DAY_AND_TIME)
        if _INSTANT.fullmatch(text.upper()):
            moment = _read_written(text.upper())
        else:
            plain = _plain(text)
            span = _span(plain)
            if span is not None:
                moment = SpokenMoment(instant=now_local.astimezone(UTC) + span)
            else:
                moment = _read_day_and_clock(plain, now_local.replace(tzinfo=None))
        at = moment.instant or moment.local
        return moment if at is None or FIRST_YEAR <= at.year <= LAST_YEAR else SpokenMoment(ask=ASK_DAY_AND_TIME)


def _read_written(text: str) -> SpokenMoment:
    """RFC 3339, or the same without an offset."""
    try:
        at = datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
        return SpokenMoment(local=at) if at.tzinfo is None else SpokenMoment(instant=at.astimezone(UTC))
    except (ValueError, OverflowError):
        return SpokenMoment(ask=ASK_DAY_AND_TIME)


def _plain(text: str) -> str:
    """Lower case, numbers as digits, no punctuation but what dates and times need; nothing if it is not English."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    if not text.isascii():
        return ""
    text = re.sub(r"\bo ?'? ?clock\b", "oclock", text)
    text = re.sub(r"(?<=\d)\.(?=\d\d ?[ap]\.? ?m)", ":", text)
    text = re.sub(r"(?<![a-z])([ap])\.? ?m\b\.?", r"\1m", text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])|[,;!?]|\.(?!\d)", " ", text)
    return " ".join(_FILLER.sub(" ", " ".join(_digits(text.split()))).split())


def _digits(words: list[str]) -> Iterator[str]:
    tens = 0
    for word in words:
        unit, ordinal = _NUMBER.get(word, 0), _ORDINAL.get(word, 0)
        if tens and not (0 < unit < 10 or 0 < ordinal < 10):
            yield str(tens)
            tens = 0
        if word in _TENS and unit < 60:
            tens = unit
            continue
        if ordinal:
            yield f"{tens + ordinal}th"
        else:
            yield str(tens + unit) if word in _NUMBER else word
        tens = 0
    if tens:
        yield str(tens)


def _span(plain: str) -> timedelta | None:
    """ "in two hours", "an hour and a half from now"."""
    if plain.startswith("in "):
        length = plain.removeprefix("in ").removesuffix(" from now")
    elif plain.endswith(" from now"):
        length = plain.removesuffix(" from now")
    else:
        return None
    for pattern in _SPANS:
        if match := pattern.fullmatch(length):
            parts = match.groupdict()
            hours, minutes = (_count(parts.get(name)) for name in ("hours", "minutes"))
            return timedelta(hours=hours, minutes=minutes + (30 if parts.get("half") else 0))
    return None


def _count(word: str | None) -> float:
    if word is None:
        return 0
    return 1 if word in ("a", "an") else float(word)


def _read_day_and_clock(plain: str, now: datetime) -> SpokenMoment:
    text, period = _without_period(plain)
    is_clock_alone = False
    for clock, rest in _clocks_in(text, period):
        is_clock_alone = is_clock_alone or not rest
        at = time(clock.hours[0], clock.minute) if len(clock.hours) == 1 else time.max
        day = _day(rest, now, at)
        if day is not None:
            return _moment(day, clock, now)
    if is_clock_alone:
        # A lone "10" may be a day as well as an hour.
        return SpokenMoment(ask=ASK_DAY_AND_TIME if plain.isdecimal() else ASK_DAY)
    is_day_alone = _day(_bare_day(text), now, time.max) is not None
    return SpokenMoment(ask=ASK_TIME if is_day_alone else ASK_DAY_AND_TIME)


def _clocks_in(text: str, period: str | None) -> Iterator[tuple[_Clock, str]]:
    """Every reading of a part of the text as a clock time, with the words around it, which must then be a day."""
    for pattern in _CLOCKS:
        match = pattern.search(text)
        clock = match and _clock(match.groupdict(), period)
        if match and clock:
            yield clock, _bare_day(f"{text[: match.start()]} {text[match.end() :]}")


def _without_period(plain: str) -> tuple[str, str | None]:
    """The text with its part of the day ("in the morning", "tonight") replaced by a mark, and that part's name."""
    match = _PERIOD.search(plain)
    if not match:
        return plain, None
    mark = f"today {_MARK}" if match["tonight"] or match["this"] else _MARK
    before, after = plain[: match.start()], plain[match.end() :]
    return " ".join(f"{before} {mark} {after}".split()), match["name"] or "night"


def _bare_day(text: str) -> str:
    return " ".join(word for word in text.split() if word not in ("at", "on", _MARK))


def _clock(parts: dict[str, str | None], period: str | None) -> _Clock | None:
    """None if the numbers are no clock time at all."""
    if parts.get("midnight"):
        return _Clock((0,), is_midnight=True)
    digits, minute = parts.get("hour") or "12", _minute(parts)
    hour, meridiem = int(digits), "pm" if parts.get("noon") else parts.get("meridiem")
    if hour > 23 or minute > 59:
        return None
    hours = _hours(hour, meridiem, is_24_hour=digits.startswith("0"))
    if parts.get("before"):
        hours, minute = _an_hour_before(hours, meridiem), 60 - minute
    if period is not None:
        hours = tuple(hour for hour in hours if hour in _PERIOD_HOURS[period])
    return _Clock(hours, minute)


def _minute(parts: dict[str, str | None]) -> int:
    if part := parts.get("part"):
        return {"half": 30, "quarter": 15}.get(part) or int(part.split()[0])
    return int(parts.get("minute") or 0)


def _an_hour_before(hours: tuple[int, ...], meridiem: str | None) -> tuple[int, ...]:
    """ "A quarter to twelve pm" may be 11:45 in the morning or at night, and before midnight it is another date."""
    if (meridiem and hours == (12,)) or hours == (0,):
        return ()
    return tuple(sorted((hour - 1) % 24 for hour in hours))


def _hours(hour: int, meridiem: str | None, *, is_24_hour: bool) -> tuple[int, ...]:
    """The hours of the day that an hour on the clock may mean."""
    if meridiem is not None:
        return (hour % 12 + (12 if meridiem == "pm" else 0),) if 1 <= hour <= 12 else ()
    if is_24_hour or hour == 0 or hour > 12:
        return (hour,)
    return (hour % 12, hour % 12 + 12)


def _moment(day: date, clock: _Clock, now: datetime) -> SpokenMoment:
    if clock.is_midnight:
        return SpokenMoment(ask=ASK_MIDNIGHT)
    readings = [datetime.combine(day, time(hour, clock.minute)) for hour in clock.hours]
    if not readings:
        return SpokenMoment(ask=ASK_TIME)
    if len(readings) > 1 and (day > now.date() or readings[0] > now):
        return SpokenMoment(ask=_ask_which_half(clock.hours[0], clock.minute))
    # Today, with the morning's reading already past: the later one is meant.
    return SpokenMoment(local=readings[-1])


def _ask_which_half(hour: int, minute: int) -> str:
    if hour == 0:
        return "Do you mean noon or midnight?" if not minute else "Do you mean just after noon or just after midnight?"
    said = f"{hour}:{minute:02d}" if minute else str(hour)
    return f"Do you mean {said} in the morning or in the {'evening' if hour > 5 else 'afternoon'}?"


def _day(text: str, now: datetime, clock: time) -> date | None:
    """The date that the whole text names, None if a word of it was not understood. `clock` decides whether today's
    weekday or day of the month is still ahead."""
    named = re.fullmatch(rf"(?:(?:this )?(?:coming )?|(?P<next>next )){_WEEKDAY}", text)
    if named:
        first = now.date() + timedelta(days=1) if named["next"] else _first_ahead(now, clock)
        return first + timedelta(days=(_DAYS.index(named["weekday"]) - first.weekday()) % 7)
    beside = re.search(rf"(?:^{_WEEKDAY} | {_WEEKDAY.replace('weekday', 'last')}$)", text)
    if beside is None:
        return _day_without_weekday(text, now, clock)
    rest = text.replace(beside[0], "", 1).strip()
    weekday = _DAYS.index(beside["weekday"] or beside["last"])
    if rest == "next week":
        return now.date() + timedelta(days=7 - now.weekday() + weekday)
    day = _day_without_weekday(rest, now, clock)
    return day if day is not None and day.weekday() == weekday else None


def _first_ahead(now: datetime, clock: time) -> date:
    return now.date() if clock > now.time() else now.date() + timedelta(days=1)


_NEAR_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1, "day after tomorrow": 2, "the day after tomorrow": 2}
_DAYS_AHEAD = re.compile(
    r"(?P<within>in )?(?P<count>an?|\d{1,3}) (?P<unit>days?|weeks?)(?: from (?P<start>now|today|tomorrow))?"
)
_DAY_OF_MONTH = re.compile(r"(?:the )?(\d{1,2})(?:st|nd|rd|th)")
_NUMERIC_DATE = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{4}))?")


def _day_without_weekday(text: str, now: datetime, clock: time) -> date | None:
    if text in _NEAR_DAYS:
        return now.date() + timedelta(days=_NEAR_DAYS[text])
    if (match := _DAYS_AHEAD.fullmatch(text)) and bool(match["within"]) != bool(match["start"]):
        days = int(_count(match["count"])) * (7 if match["unit"].startswith("week") else 1)
        return now.date() + timedelta(days=days + (match["start"] == "tomorrow"))
    if match := _DAY_OF_MONTH.fullmatch(text):
        return _next_day_of_month(int(match[1]), _first_ahead(now, clock))
    if match := _NUMERIC_DATE.fullmatch(text):
        return _numeric_date(int(match[1]), int(match[2]), match[3], _first_ahead(now, clock))
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.A):
        return _date_or_none(*map(int, text.split("-")))
    return _named_month(text, _first_ahead(now, clock))


def _next_day_of_month(number: int, first: date) -> date | None:
    for months in range(3):
        year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
        day = _date_or_none(year, month + 1, number)
        if day is not None and day >= first:
            return day
    return None


def _numeric_date(one: int, other: int, year: str | None, first: date) -> date | None:
    """ "12/25" and "25/12" are clear; "12/3" is a day of December or of March, so it is not understood."""
    if one <= 12 and other <= 12 and one != other:
        return None
    month, number = min(one, other), max(one, other)
    return _date_or_none(int(year), month, number) if year else _next_anniversary(month, number, first)


_CALENDAR_DATE = re.compile(
    rf"(?=.*\b{_MONTH}\b)(?:(?:the|of|{_MONTH}|(?P<number>\d{{1,2}})(?:st|nd|rd|th)?|(?P<year>\d{{4}}))(?: |$))+"
)


def _named_month(text: str, first: date) -> date | None:
    """A month's name, a day, and perhaps a year, read by dateparser; its reading must keep the day that was said."""
    words = _CALENDAR_DATE.fullmatch(text)
    if words is None or words["number"] is None or len(re.findall(r"\d+", text)) > (2 if words["year"] else 1):
        return None
    import dateparser  # 0.15 s, and most phrases do without

    # 2024 has every day that a year can have; the year said, or the next one ahead, comes after.
    said = " ".join(word for word in text.split() if word not in ("the", "of", words["year"]))
    read = dateparser.parse(f"{said} 2024", languages=["en"], settings={"REQUIRE_PARTS": ["day", "month", "year"]})
    if read is None or (read.year, read.day) != (2024, int(words["number"])):
        return None
    if words["year"]:
        return _date_or_none(int(words["year"]), read.month, read.day)
    return _next_anniversary(read.month, read.day, first)


def _next_anniversary(month: int, number: int, first: date) -> date | None:
    days = (_date_or_none(year, month, number) for year in range(first.year, first.year + 9))
    return next((day for day in days if day is not None and day >= first), None)


def _date_or_none(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number)
    except ValueError:
        return None
