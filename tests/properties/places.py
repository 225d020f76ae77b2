"""Every IANA zone over ten years, its clock changes found by looking at every week of it."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
#: Entries of the zone database that are no place.
NO_PLACE = {"localtime", "Factory", "posixrules"}
ALL_ZONES = tuple(sorted(available_timezones() - NO_PLACE))


@cache
def clock_changes(name: str) -> tuple[tuple[datetime, timedelta], ...]:
    """The first minute of every new offset, and that offset; the first entry is the offset in the beginning."""
    zone = ZoneInfo(name)
    at, offset = FIRST, offset_at(FIRST, zone)
    found = [(at, offset)]
    while at < LAST:
        for step in (timedelta(days=7), DAY, timedelta(hours=1), MINUTE):
            while at < LAST and offset_at(at + step, zone) == offset:
                at += step
        at += MINUTE
        if at < LAST:
            offset = offset_at(at, zone)
            found.append((at, offset))
    return tuple(found)


def offset_at(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def one_zone_per_clock() -> list[str]:
    """One name for each set of zones whose clocks agree for the whole ten years."""
    return sorted({clock_changes(name): name for name in ALL_ZONES}.values())


def instants_in(zone: str) -> st.SearchStrategy[datetime]:
    """Anywhere in the ten years, and mostly within two days of a clock change, where there is one."""
    seconds = st.integers(0, 59) | st.just(0)
    anywhere = st.builds(
        lambda minutes, second: FIRST + timedelta(minutes=minutes, seconds=second),
        st.integers(0, (LAST - FIRST) // MINUTE),
        seconds,
    )
    changes = [at for at, _ in clock_changes(zone)[1:]]
    if not changes:
        return anywhere
    near = st.builds(
        lambda change, minutes, second: change + timedelta(minutes=minutes, seconds=second),
        st.sampled_from(changes),
        st.integers(-2 * 1440, 180),
        seconds,
    )
    return st.one_of(near, near, anywhere)


@st.composite
def places(draw: st.DrawFn, most_zones: int = 3) -> tuple[datetime, tuple[str, ...]]:
    """An instant, and the zones that a person may be in."""
    names = draw(st.lists(st.sampled_from(ALL_ZONES), min_size=1, max_size=most_zones, unique=True))
    return draw(instants_in(names[0])), tuple(names)


def instant_of(local: datetime, name: str) -> datetime:
    """Slowly: minute after minute until the clock there shows `local`, or has jumped over it. Then the minutes that are
    missing are counted from the last one before the jump."""
    zone = ZoneInfo(name)
    before = local.replace(tzinfo=UTC) - timedelta(hours=27)
    while True:
        at = before + MINUTE
        shown = at.astimezone(zone).replace(tzinfo=None)
        if shown == local:
            return at
        if shown > local:
            return before + (local - before.astimezone(zone).replace(tzinfo=None))
        before = at
