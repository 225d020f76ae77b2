"""Nothing is admitted outside its window, at any time and after any number of checks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import defer_for_person

from .depth import checked
from .places import places
from .policies import HORIZON, calendars
from .requests import NOTHING_KNOWN, candidate, policy

pytestmark = pytest.mark.matrix

ANY_MINUTE = CallingHours.parse("mon-sun 00:00-24:00")
#: With the shortest and the longest permitted time for the create-call, and with the default.
LEASES_S = st.sampled_from([30.1, 60.0, 330.0])


@checked(30)
@given(st.data())
def test_the_check_allows_exactly_the_times_that_the_calendar_shows_open_for_the_whole_lease(data):
    at, zones = data.draw(places())
    calendar, lease_s = data.draw(calendars(at)), data.draw(LEASES_S)
    rules = policy(calendar.hours, lease_s)
    start = calendar.hours.next_open(at, zones) or at
    for minutes in [0, *data.draw(st.lists(st.integers(-3, 1440), max_size=5))]:
        now = start + timedelta(minutes=minutes, seconds=data.draw(st.integers(0, 59)))
        decision = defer_for_person(candidate(now, zones), NOTHING_KNOWN, rules, now)
        assert (decision is None) is calendar.is_open_for(now, zones, timedelta(seconds=lease_s))
        assert decision is None or (decision.rule == "outside_calling_hours" and decision.until > now)


@checked(30)
@given(st.data())
def test_a_task_that_waits_as_it_is_told_is_admitted_inside_its_window_and_skips_none(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    rules, lease = policy(calendar.hours), timedelta(seconds=60)
    now = at
    while decision := defer_for_person(candidate(at, zones), NOTHING_KNOWN, rules, now):
        now = decision.until
        if now > at + HORIZON:
            assert calendar.first_open(at, zones, lease) is None
            return
    assert now == calendar.first_open(at, zones, lease)


@checked(20)
@given(st.data())
def test_a_long_lease_may_wait_more_often_but_never_rings_outside_the_window(data):
    at, zones = data.draw(places(most_zones=2))
    calendar, lease = data.draw(calendars(at)), timedelta(seconds=330)
    rules = policy(calendar.hours, lease.total_seconds())
    now = at
    while decision := defer_for_person(candidate(at, zones), NOTHING_KNOWN, rules, now):
        assert decision.until > now
        now = decision.until
        if now > at + HORIZON:
            return
    assert calendar.is_open_for(now, zones, lease)


@checked(20)
@given(places())
def test_a_person_who_is_nowhere_waits_under_any_hours(place):
    at, _ = place
    for zones in ((), ("Mars/Olympus",), (place[1][0], "Mars/Olympus")):
        decision = defer_for_person(candidate(at, zones), NOTHING_KNOWN, policy(ANY_MINUTE), at)
        assert decision is not None and decision.until == at + timedelta(days=1)
