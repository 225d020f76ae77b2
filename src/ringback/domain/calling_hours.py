"""Calling hours in a person's local time, and local wall-clock times as instants."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ringback.domain.time_zone import find_zone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: The search for an opening ends here. A callback may be 14 days ahead.
SEARCH_LIMIT = timedelta(days=15)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAY_MIN = 24 * 60

_EXAMPLE = 'for example "mon-fri 09:00-20:00; sat 10:00-18:00", or "always"'
_WINDOW = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_DAY_NAME = re.compile(
    r"(?=(mon|tue|wed|thu|fri|sat|sun))"
    r"(?:mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Minutes of one local day, end excluded. An end beyond 1440 is on the following day."""

    start_min: int
    end_min: int

    def __str__(self) -> str:
        end_min = self.end_min if self.end_min <= DAY_MIN else self.end_min - DAY_MIN
        return f"{_clock(self.start_min)}-{_clock(end_min)}"


@dataclass(frozen=True, slots=True)
class CallingHours:
    """Windows per weekday (Monday first) in the contact's local time. `week` None means always.

    A holiday closes its own date, and the night of a window that began on it.
    """

    week: tuple[tuple[Window, ...], ...] | None = None
    holidays: frozenset[date] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "CallingHours":
        """Read "always", or days with windows: "mon-fri 09:00-20:00; sat 10:00-18:00; !2026-12-25".

        Semicolons and commas both separate. A window may run past midnight ("fri 22:00-02:00"). "!" closes a date.
        Raises ValueError with a sentence that says what to write instead.
        """
        words = re.sub(r"\s*[-–]\s*", "-", text.strip().lower()).replace(";", " ; ").replace(",", " ").split()
        if words == ["always"]:
            return cls()
        holidays = frozenset(_holiday(word[1:]) for word in words if word.startswith("!"))
        return cls(_week(words), holidays)

    def __str__(self) -> str:
        if self.week is None:
            return "always"
        days_of: dict[tuple[Window, ...], list[int]] = {}
        for day, windows in enumerate(self.week):
            if windows:
                days_of.setdefault(windows, []).append(day)
        parts = [f"{_day_list(days)} {','.join(map(str, windows))}" for windows, days in days_of.items()]
        return "; ".join(parts + [f"!{day.isoformat()}" for day in sorted(self.holidays)])

    def is_open(self, at: datetime, zones: tuple[str, ...]) -> bool:
        """Whether it is open in every zone at this instant. Without a known zone it is closed."""
        return self.open_for(at, zones, timedelta(0))

    def open_for(self, at: datetime, zones: tuple[str, ...], at_least: timedelta) -> bool:
        """Whether it is open in every zone now and stays open for `at_least`."""
        if self.week is None:
            return True
        known = _known_zones(zones)
        if not known:
            return False
        return self._closed_within(at.astimezone(UTC), at_least, known) is None

    def next_open(self, at: datetime, zones: tuple[str, ...], at_least: timedelta = timedelta(0)) -> datetime | None:
        """The earliest instant (UTC) from `at` on at which every zone is open and stays open for `at_least`.

        Returns `at` itself or a whole minute. None if there is none within 15 days, or if no zone is known.
        """
        now = at.astimezone(UTC)
        if self.week is None:
            return now
        known = _known_zones(zones)
        if not known:
            return None
        limit = now + SEARCH_LIMIT
        while now <= limit:
            closed_at = self._closed_within(now, at_least, known)
            if closed_at is None:
                return now
            stretches = [self._stretch(closed_at, zone) for zone in known]
            now = max(until for is_open, until in stretches if not is_open)
        return None

    def _closed_within(self, now: datetime, length: timedelta, zones: list[ZoneInfo]) -> datetime | None:
        """The first instant within `length` from `now` on at which a zone is closed. Zero length: `now` alone."""
        end = now + max(length, timedelta.resolution)
        while now < end:
            stretches = [self._stretch(now, zone) for zone in zones]
            if not all(is_open for is_open, _ in stretches):
                return now
            now = min(until for _, until in stretches)
        return None

    def _stretch(self, at: datetime, zone: ZoneInfo) -> tuple[bool, datetime]:
        """Whether it is open at `at`, and until when that does not change.

        The end is the next edge of a window, the local midnight, or an earlier clock change.
        """
        local = at.astimezone(zone)
        wall = local.replace(tzinfo=None)
        day = wall.date()
        midnight = datetime.combine(day, time())
        minute = wall.hour * 60 + wall.minute
        windows: list[Window] = []
        if self.week is not None and day not in self.holidays:
            windows += self.week[day.weekday()]
            # The rest of the evening before. The index weekday() - 1 wraps from Monday to Sunday, and date.min has no
            # day before it.
            if day - date.min > DAY and day - DAY not in self.holidays:
                evening = self.week[day.weekday() - 1]
                windows += [Window(0, w.end_min - DAY_MIN) for w in evening if w.end_min > DAY_MIN]
        is_open = any(window.start_min <= minute < window.end_min for window in windows)
        edges = (edge for window in windows for edge in (window.start_min, window.end_min))
        next_edge = min((edge for edge in edges if minute < edge < DAY_MIN), default=DAY_MIN)
        until = at + (midnight + timedelta(minutes=next_edge) - wall)
        return is_open, _before_clock_change(at, until, zone)


def resolve_local(local: datetime, zone: str) -> datetime:
    """The UTC instant of a wall-clock time. A time in a gap moves forward. In an overlap the first one counts.

    Raises ValueError for an unknown zone, an aware `local`, or a year whose instant cannot be written.
    """
    info = find_zone(zone)
    if info is None:
        raise ValueError("The time zone is not an IANA name such as America/New_York.")
    if local.tzinfo is not None:
        raise ValueError("A local time must not carry a zone of its own.")
    try:
        # PEP 495: fold=0 is the first of two. In a gap it uses the offset before the gap, which moves forward.
        return local.replace(tzinfo=info, fold=0).astimezone(UTC)
    except OverflowError:
        raise ValueError("The local time is beyond the calendar.") from None


def local_time(at: datetime, zone: str) -> str:
    """The wall clock in the zone, to the minute: "2026-12-02T15:00". Raises ValueError for an unknown zone."""
    info = find_zone(zone)
    if info is None:
        raise ValueError("The time zone is not an IANA name such as America/New_York.")
    return at.astimezone(info).replace(tzinfo=None).isoformat(timespec="minutes")


def _known_zones(zones: tuple[str, ...]) -> list[ZoneInfo]:
    """Every zone, or an empty list if one is unknown: a person with an unknown zone is not called."""
    found = [find_zone(name) for name in zones]
    known = [zone for zone in found if zone is not None]
    return known if len(known) == len(found) else []


def _before_clock_change(at: datetime, until: datetime, zone: ZoneInfo) -> datetime:
    """`until`, or the first minute after `at` with another offset. Both are at most a day apart: one change."""
    offset = at.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == offset:
        return until
    same, other = at.replace(second=0, microsecond=0), until
    while other - same > MINUTE:
        middle = same + (other - same) // MINUTE // 2 * MINUTE
        if middle.astimezone(zone).utcoffset() == offset:
            same = middle
        else:
            other = middle
    return other


def _check(is_right: bool, problem: str) -> None:
    if not is_right:
        raise ValueError(f"{problem}: write {_EXAMPLE}.")


def _week(words: list[str]) -> tuple[tuple[Window, ...], ...]:
    week: list[set[Window]] = [set() for _ in DAYS]
    days: set[int] = set()
    days_have_window = True
    for word in [*words, ";"]:
        if word[0].isalpha():
            names = [_DAY_NAME.fullmatch(name) for name in word.split("-")]
            _check(len(names) <= 2 and all(names), f'"{word}" is no day or range of days')
            first, *rest = [DAYS.index(name[1]) for name in names if name]
            last = rest[0] if rest else first
            named = {(first + step) % 7 for step in range((last - first) % 7 + 1)}
            days = named if days_have_window else days | named
            days_have_window = False
        elif word[0] in ";!":
            _check(days_have_window, "Every day needs its hours")
            days = set()
        else:
            window = _window(word)
            _check(bool(days), f'The hours "{word}" need their days')
            days_have_window = True
            for day in days:
                week[day].add(window)
    _check(any(week), "The calling hours have no window")
    return tuple(tuple(sorted(windows)) for windows in week)


def _window(word: str) -> Window:
    match = _WINDOW.fullmatch(word)
    _check(match is not None, f'"{word}" is neither days, nor hours such as 09:00-20:00')
    assert match is not None
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start_min, end_min = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    is_clock = start_minute < 60 and end_minute < 60 and start_min < DAY_MIN and end_min <= DAY_MIN
    _check(is_clock, f'"{word}" goes beyond 24:00')
    _check(start_min != end_min, f'"{word}" is empty (a whole day is 00:00-24:00)')
    return Window(start_min, end_min if end_min > start_min else end_min + DAY_MIN)


def _holiday(word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise ValueError(f'"!{word}" is no date: write a closed date as !2026-12-25.') from None


def _day_list(days: list[int]) -> str:
    """ "mon-fri", "mon,wed": runs of three or more as a range."""
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    words = [[f"{DAYS[r[0]]}-{DAYS[r[-1]]}"] if len(r) > 2 else [DAYS[day] for day in r] for r in runs]
    return ",".join(word for run in words for word in run)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
