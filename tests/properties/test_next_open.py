"""The next opening is the earliest legal minute for all zones, hours and clock changes."""

from datetime import date, time, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.calling_hours import CallingHours
from ringback.domain.time_zone import find_zone

from .depth import checked, is_full
from .places import ALL_ZONES, NO_PLACE, clock_changes, instants_in, one_zone_per_clock, places
from .policies import HORIZON, PaintedCalendar, calendars, whole_minutes

pytestmark = pytest.mark.matrix

LEASES = st.sampled_from([0, 1, 33, 60, 61, 330, 7200]).map(lambda seconds: timedelta(seconds=seconds))


def test_every_zone_of_the_database_is_known_but_those_that_are_no_place():
    assert {name for name in available_timezones() if find_zone(name) is None} <= NO_PLACE
    assert len(ALL_ZONES) > 500


@checked(35)
@given(st.data())
def test_next_open_is_the_earliest_minute_that_the_calendar_shows_open(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    assert calendar.hours.next_open(at, zones) == calendar.first_open(at, zones)


@checked(30)
@given(st.data())
def test_an_opening_that_has_to_last_is_the_earliest_that_does(data):
    at, zones = data.draw(places(most_zones=2))
    calendar, lease = data.draw(calendars(at)), data.draw(LEASES)
    assert calendar.hours.next_open(at, zones, lease) == calendar.first_open(at, zones, lease)


@checked(30)
@given(st.data())
def test_open_for_is_open_in_every_minute_of_it(data):
    at, zones = data.draw(places())
    calendar, lease = data.draw(calendars(at)), data.draw(LEASES)
    start = calendar.hours.next_open(at, zones) or at
    hours_later = [timedelta(hours=data.draw(st.integers(0, 96))) for _ in range(4)]
    for instant in (at, start, *(at + later for later in hours_later)):
        assert calendar.hours.open_for(instant, zones, lease) is calendar.is_open_for(instant, zones, lease)
        assert calendar.hours.is_open(instant, zones) is calendar.is_open(instant, zones)


@checked(50)
@given(st.data())
def test_an_opening_is_its_own_next_opening_and_never_moves_back(data):
    at, zones = data.draw(places())
    hours, lease = data.draw(calendars(at)).hours, data.draw(LEASES)
    opens = hours.next_open(at, zones, lease)
    later = at + timedelta(seconds=data.draw(st.integers(1, 15 * 86400)))
    opens_later = hours.next_open(later, zones, lease)
    if opens is None:
        assert opens_later is None or opens_later > at + HORIZON
        return
    assert at <= opens <= at + HORIZON
    assert hours.next_open(opens, zones, lease) == opens
    if later <= opens:
        assert opens_later == opens
    assert opens_later is None or opens_later >= opens


@checked(30)
@given(st.data())
def test_more_zones_never_open_earlier(data):
    at, zones = data.draw(places())
    hours = data.draw(calendars(at)).hours
    everywhere = hours.next_open(at, zones)
    for zone in zones:
        alone = hours.next_open(at, (zone,))
        assert everywhere is None or (alone is not None and alone <= everywhere)


@checked(30)
@given(places(), st.text(max_size=12).filter(lambda name: name not in ALL_ZONES))
def test_one_unknown_zone_among_them_never_opens(place, nowhere):
    at, zones = place
    hours = CallingHours.parse("mon-sun 00:00-24:00")
    assert hours.next_open(at, zones) == at
    assert hours.next_open(at, (*zones, nowhere)) is None
    assert not hours.open_for(at, (nowhere, *zones), timedelta(seconds=1))


def test_around_every_kind_of_clock_change_the_hours_hold_minute_by_minute():
    """One zone for each clock and its last change of each kind; the full profile takes every name and every change."""
    night = PaintedCalendar(
        [(day, start, end) for day in range(7) for start, end in ((time(23, 30), time(0, 31)), (time(1, 15), time(2)))]
        + [(day, time(2, 30), time(2, 31)) for day in range(7)],
        frozenset([date(2030, 3, 31)]),
    )
    hours = night.hours
    for zone in ALL_ZONES if is_full() else one_zone_per_clock():
        for change in _changes(zone):
            opens = None
            for instant in reversed(list(whole_minutes(change - timedelta(hours=2), change + timedelta(hours=2)))):
                opens = instant if night.is_open(instant, (zone,)) else opens
                if opens is not None and (is_full() or instant.minute % 5 == 0):
                    assert hours.next_open(instant, (zone,)) == opens, (zone, instant)


def _changes(zone):
    changes = clock_changes(zone)[1:]
    return [at for at, _ in changes] if is_full() else list({offset: at for at, offset in changes}.values())


def test_zones_that_share_a_clock_share_their_openings():
    hours = CallingHours.parse("mon-fri 09:00-12:00,13:30-20:00; sat 22:00-02:00")
    known = {}
    for zone in ALL_ZONES:
        moments = [at for at, _ in clock_changes(zone)[-3:]]
        openings = tuple(hours.next_open(at - timedelta(hours=30), (zone,)) for at in moments)
        assert known.setdefault(clock_changes(zone), openings) == openings, zone


@checked(30)
@given(st.data())
def test_always_is_always(data):
    zone = data.draw(st.sampled_from(ALL_ZONES))
    at = data.draw(instants_in(zone))
    assert CallingHours().next_open(at, (zone,), data.draw(LEASES)) == at
