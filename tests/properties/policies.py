"""Arbitrary calling hours, and the slow way to keep them: a calendar on which every open minute is painted."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ringback.domain.calling_hours import CallingHours

from .places import DAY, MINUTE

HORIZON = timedelta(days=15)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = time(0)
# Weekday, first minute and end on the wall clock; an end at or before the beginning is on the following day.
Window = tuple[int, time, time]


@dataclass
class PaintedCalendar:
    """A window paints the minutes that a clock on the wall shows from its beginning until it shows its end."""

    windows: list[Window]
    holidays: frozenset[date]
    days: set[date] = field(default_factory=set)
    minutes: set[datetime] = field(default_factory=set)

    @property
    def hours(self) -> CallingHours:
        """The same as the product reads it."""
        return CallingHours.parse(str(self))

    def __str__(self) -> str:
        spans = [f"{WEEKDAYS[day]} {start:%H:%M}-{_end(end)}" for day, start, end in self.windows]
        return "; ".join(spans + [f"!{day}" for day in sorted(self.holidays)])

    def is_open(self, at: datetime, zones: tuple[str, ...]) -> bool:
        return all(self._shows_painted(at.astimezone(ZoneInfo(zone))) for zone in zones)

    def is_open_for(self, at: datetime, zones: tuple[str, ...], length: timedelta) -> bool:
        instants = [at, *whole_minutes(at, at + length - timedelta.resolution)]
        return all(self.is_open(instant, zones) for instant in instants)

    def first_open(
        self, at: datetime, zones: tuple[str, ...], length: timedelta = timedelta(0), until: datetime | None = None
    ) -> datetime | None:
        for instant in (at, *whole_minutes(at, until or at + HORIZON)):
            if self.is_open_for(instant, zones, length):
                return instant
        return None

    def _shows_painted(self, local: datetime) -> bool:
        wall = local.replace(tzinfo=None, second=0, microsecond=0, fold=0)
        for day in (wall.date() - DAY, wall.date()):
            if day not in self.days:
                self.days.add(day)
                self._paint(day)
        return wall in self.minutes

    def _paint(self, day: date) -> None:
        for weekday, start, end in self.windows:
            if weekday != day.weekday() or day in self.holidays:
                continue
            wall = datetime.combine(day, start)
            while True:
                if wall.date() not in self.holidays:
                    self.minutes.add(wall)
                wall += MINUTE
                if wall.time() == end:
                    break


def _end(clock: time) -> str:
    return "24:00" if clock == MIDNIGHT else f"{clock:%H:%M}"


def whole_minutes(after: datetime, last: datetime):
    minute = after.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
    while minute <= last:
        yield minute
        minute += MINUTE


def clocks() -> st.SearchStrategy[time]:
    """Any minute; often one that clock changes touch, or the usual opening hours."""
    usual = st.sampled_from([0, 1, 30, 60, 90, 119, 120, 150, 179, 180, 540, 720, 1200, 1380, 1439])
    return st.builds(lambda minute: time(minute // 60, minute % 60), usual | st.integers(0, 1439))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    weekday, start, kind = draw(st.integers(0, 6)), draw(clocks()), draw(st.integers(0, 5))
    if kind == 0:
        return weekday, MIDNIGHT, MIDNIGHT  # the whole day
    if kind in (1, 2):
        length = draw(st.sampled_from([1, 1, 2, 3, 61, 720]))
        return weekday, start, (datetime.combine(date.min, start) + length * MINUTE).time()
    return weekday, start, draw(clocks().filter(lambda end: end != start))


@st.composite
def calendars(draw: st.DrawFn, near: datetime) -> PaintedCalendar:
    """One to seven windows, on one day or on most of them, or every night; and holidays around `near`."""
    wanted = draw(st.lists(windows(), min_size=1, max_size=7))
    kind = draw(st.sampled_from(["as drawn", "as drawn", "most days", "most days", "every night"]))
    if kind == "every night":
        evening, morning = time(draw(st.integers(18, 23))), time(draw(st.integers(0, 6)), 30)
        wanted = [(day, evening, morning) for day in range(7)]
    elif kind == "most days":
        days = draw(st.sets(st.integers(0, 6), min_size=3))
        wanted = [(day, start, end) for _, start, end in wanted[:3] for day in sorted(days)]
    closed = draw(st.sets(st.integers(-2, 3) | st.integers(4, 10), max_size=4))
    return PaintedCalendar(wanted, frozenset(near.date() + days * DAY for days in closed))
