"""Wishes in, the due time that may be promised (or the rule that forbids it) out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.domain.callback import (
    Callback,
    CallbackProblem,
    CallbackRefused,
    CallbackRules,
    callback_at_instant,
    callback_at_local,
)
from ringback.domain.calling_hours import CallingHours

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)  # a Tuesday, noon in New York
LEASE = timedelta(seconds=60)
EVENINGS_TOO = CallingHours.parse("mon-sat 09:00-20:00")


def rules(hours=EVENINGS_TOO, zones=("America/New_York",), expires_at=None) -> CallbackRules:
    return CallbackRules(hours, LEASE, zones, expires_at)


def problem_of(wish) -> CallbackProblem:
    with pytest.raises(CallbackRefused) as caught:
        wish()
    return caught.value.problem


def test_a_local_time_is_resolved_where_the_person_is():
    callback = callback_at_local(datetime(2026, 12, 2, 15, 0), rules(), NOW)
    assert callback == Callback(
        datetime(2026, 12, 2, 20, 0, tzinfo=UTC), "2026-12-02T15:00", "America/New_York", moved=False
    )


def test_an_instant_has_no_wall_clock():
    at = datetime(2026, 12, 2, 20, 0, 30, tzinfo=UTC)
    assert callback_at_instant(at, rules(), NOW) == Callback(at, None, None, moved=False)


def test_outside_hours_it_is_the_next_open_minute():
    callback = callback_at_local(datetime(2026, 12, 1, 22, 0), rules(), NOW)
    assert (callback.local_time, callback.moved) == ("2026-12-02T09:00", True)


def test_saturday_night_moves_over_the_closed_sunday():
    assert callback_at_local(datetime(2026, 12, 5, 21, 0), rules(), NOW).local_time == "2026-12-07T09:00"


def test_a_window_about_to_close_is_as_closed_as_a_closed_one():
    last_second = datetime(2026, 12, 2, 0, 59, 30, tzinfo=UTC)  # 19:59:30 in New York
    callback = callback_at_instant(last_second, rules(), NOW)
    assert (callback.due_at, callback.moved) == (datetime(2026, 12, 2, 14, 0, tzinfo=UTC), True)


def test_in_a_daylight_saving_gap_it_goes_forward():
    night = CallingHours.parse("always")
    before = datetime(2027, 3, 13, 17, 0, tzinfo=UTC)
    callback = callback_at_local(datetime(2027, 3, 14, 2, 30), rules(night), before)
    assert (callback.due_at, callback.local_time) == (datetime(2027, 3, 14, 7, 30, tzinfo=UTC), "2027-03-14T03:30")


def test_in_an_overlap_it_is_the_first():
    night = CallingHours.parse("always")
    before = datetime(2026, 10, 31, 17, 0, tzinfo=UTC)
    callback = callback_at_local(datetime(2026, 11, 1, 1, 30), rules(night), before)
    assert callback.due_at == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "problem"),
    [
        (timedelta(0), CallbackProblem.PAST),
        (timedelta(days=-1), CallbackProblem.PAST),
        (timedelta(minutes=5, seconds=-1), CallbackProblem.TOO_SOON),
        (timedelta(days=14, seconds=1), CallbackProblem.TOO_FAR),
    ],
)
def test_beyond_the_limits_it_is_refused(ahead, problem):
    assert problem_of(lambda: callback_at_instant(NOW + ahead, rules(), NOW)) is problem


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=14)])
def test_the_limits_themselves_are_allowed(ahead):
    assert callback_at_instant(NOW + ahead, rules(), NOW).due_at == NOW + ahead


def test_beyond_an_explicit_expiry_is_too_late_also_when_only_the_hours_push_it_there():
    expires_at = datetime(2026, 12, 2, 14, 0, tzinfo=UTC)
    late = rules(expires_at=expires_at)
    assert problem_of(lambda: callback_at_local(datetime(2026, 12, 2, 15, 0), late, NOW)) is CallbackProblem.TOO_LATE
    assert problem_of(lambda: callback_at_local(datetime(2026, 12, 1, 21, 0), late, NOW)) is CallbackProblem.TOO_LATE


def test_two_weeks_ahead_and_then_pushed_beyond_them_is_too_far():
    now = datetime(2026, 12, 6, 4, 0, tzinfo=UTC)  # Saturday 23:00 in New York
    wish = datetime(2026, 12, 19, 22, 0)
    assert problem_of(lambda: callback_at_local(wish, rules(), now)) is CallbackProblem.TOO_FAR


@pytest.mark.parametrize("zones", [(), ("America/Chicago", "America/Denver")])
def test_a_local_time_needs_one_zone(zones):
    wish = datetime(2026, 12, 2, 15, 0)
    assert problem_of(lambda: callback_at_local(wish, rules(zones=zones), NOW)) is CallbackProblem.ZONE_UNKNOWN


def test_an_instant_needs_a_zone_only_where_there_are_calling_hours():
    at = NOW + timedelta(hours=2)
    assert callback_at_instant(at, rules(CallingHours.parse("always"), zones=()), NOW).due_at == at
    assert problem_of(lambda: callback_at_instant(at, rules(zones=()), NOW)) is CallbackProblem.ZONE_UNKNOWN


def test_of_several_possible_zones_all_must_be_open():
    at = datetime(2026, 12, 2, 15, 30, tzinfo=UTC)  # 10:30 in New York, 07:30 in Los Angeles
    callback = callback_at_instant(at, rules(zones=("America/New_York", "America/Los_Angeles")), NOW)
    assert callback.due_at == datetime(2026, 12, 2, 17, 0, tzinfo=UTC)


def test_hours_that_never_open_for_both_zones_are_said_so():
    hours = CallingHours.parse("mon-fri 09:00-10:00")
    apart = rules(hours, zones=("America/New_York", "Asia/Tokyo"))
    assert problem_of(lambda: callback_at_instant(NOW + timedelta(hours=1), apart, NOW)) is CallbackProblem.NEVER_OPEN


@settings(max_examples=150, derandomize=True)
@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    ahead_s=st.integers(-86400, 15 * 86400),
    zone=st.sampled_from(["America/New_York", "America/Los_Angeles", "America/Phoenix", "Australia/Lord_Howe"]),
)
def test_what_is_promised_is_never_early_never_late_and_always_in_hours(now, ahead_s, zone):
    try:
        callback = callback_at_instant(now + timedelta(seconds=ahead_s), rules(zones=(zone,)), now)
    except CallbackRefused:
        return
    assert timedelta(minutes=5) <= callback.due_at - now <= timedelta(days=14)
    assert callback.due_at >= now + timedelta(seconds=ahead_s)
    assert EVENINGS_TOO.open_for(callback.due_at, (zone,), LEASE)
