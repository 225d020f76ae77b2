"""Read the time of a requested call from a person's words. Unclear words lead to a question, never to a guess."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ringback.adapters.spoken_time.clocks import bare_day, clocks_in, without_period, without_zone
from ringback.adapters.spoken_time.days import Calendar, read_day, read_span
from ringback.adapters.spoken_time.questions import (
    ASK_DAY,
    ASK_DAY_AND_TIME,
    ASK_MIDNIGHT,
    ASK_TIME,
    Unclear,
    which_half,
)
from ringback.adapters.spoken_time.words import plain_words
from ringback.domain.time_zone import clock_of
from ringback.ports import SpokenMoment, SpokenTime

MAX_WORDS_LENGTH = 160
# Outside these years an instant cannot be written in every zone.
FIRST_YEAR, LAST_YEAR = 1970, 2200

_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?(?P<offset> ?(Z|[+-]\d{2}:?\d{2}))?", re.A
)
_SAME_TIME = re.compile(r"\b(?:at )?(?:this|(?:the |this )?same) time\b")


class EnglishSpokenTime(SpokenTime):
    """Own rules for English days, clock times, spans and zones (decision 0014).

    A phrase counts only if every word of it was understood. A weekday or a day of the month is the next one ahead.
    An explicitly past time ("yesterday") is returned as it is.
    """

    def read(self, words: str, now: datetime, zones: tuple[str, ...], country: str | None) -> SpokenMoment:
        """Read a moment, or the question to ask. Raises ValueError if `now` has no zone."""
        if now.tzinfo is None:
            raise ValueError("now must have a zone")
        text = words.strip()
        try:
            if len(text) > MAX_WORDS_LENGTH:
                raise Unclear(ASK_DAY_AND_TIME)
            moment = _read(text, now, zones, is_month_first=country == "US")
        except Unclear as unclear:
            return SpokenMoment(ask=unclear.question)
        at = moment.instant or moment.local
        assert at is not None, "an unclear moment has raised Unclear"
        return moment if FIRST_YEAR <= at.year <= LAST_YEAR else SpokenMoment(ask=ASK_DAY_AND_TIME)


def _read(text: str, now: datetime, zones: tuple[str, ...], *, is_month_first: bool) -> SpokenMoment:
    if _INSTANT.fullmatch(text.upper()):
        # RFC 3339, or the same without an offset.
        try:
            at = datetime.fromisoformat(text.upper().replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
            return SpokenMoment(local=at) if at.tzinfo is None else SpokenMoment(instant=at.astimezone(UTC))
        except (ValueError, OverflowError):
            raise Unclear(ASK_DAY_AND_TIME) from None
    plain = plain_words(text)
    span = read_span(plain)
    if span is not None:
        return SpokenMoment(instant=now.astimezone(UTC) + span)
    said, zone = without_zone(plain, zones)
    if zone is None:
        home = zones[0] if zones else "UTC"
        return SpokenMoment(local=_read_day_and_clock(said, _wall_clock(now, home), is_month_first))
    # "Tomorrow" counts from the person's own day. If the named zone has another day, the person is asked.
    is_own = not zones or clock_of(zone) in map(clock_of, zones)
    places = (zone,) if is_own else (zone, *zones)
    readings = {_read_day_and_clock(said, _wall_clock(now, place), is_month_first) for place in places}
    if len(readings) > 1:
        raise Unclear(ASK_DAY)
    return SpokenMoment(local=readings.pop(), zone=zone)


def _wall_clock(now: datetime, zone: str) -> datetime:
    return now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _read_day_and_clock(plain: str, now: datetime, is_month_first: bool) -> datetime:
    """Read a day and a clock time. `now` and the result are the person's wall clock. Raises Unclear."""
    # "This time tomorrow" becomes "at 1500 hours tomorrow".
    text, found = _SAME_TIME.subn(f"at {now:%H%M} hours", plain)
    if found:
        text = re.sub(r"(?<!day )(?<!of )\bnext week\b", "in 1 week", text)
    text, period = without_period(text)
    is_clock_alone = False
    for clock, rest in clocks_in(text, period):
        is_clock_alone = is_clock_alone or not rest
        at = time(clock.hours[0], clock.minute) if len(clock.hours) == 1 else time.max
        day = read_day(rest, Calendar(now, at, is_month_first))
        if day is None:
            continue
        if clock.is_midnight:
            raise Unclear(ASK_MIDNIGHT)
        midnight = datetime.combine(day, time())
        readings = [midnight + timedelta(hours=hour, minutes=clock.minute) for hour in clock.hours]
        if not readings:
            raise Unclear(ASK_TIME)
        if len(readings) > 1 and (day > now.date() or readings[0] > now):
            raise Unclear(which_half(clock.hours[0], clock.minute))
        # Today, and the morning's reading is past: the later one is meant.
        return readings[-1]
    if is_clock_alone:
        # A lone "10" may be a day as well as an hour.
        raise Unclear(ASK_DAY_AND_TIME if plain.isdecimal() and len(plain) < 3 else ASK_DAY)
    is_day_alone = read_day(bare_day(text), Calendar(now, time.max, is_month_first)) is not None
    raise Unclear(ASK_TIME if is_day_alone else ASK_DAY_AND_TIME)
