"""A callback is promised five minutes to fourteen days ahead, inside hours and expiry, at the clock time said."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.callback import (
    CallbackProblem,
    CallbackRefused,
    CallbackRules,
    callback_at_instant,
    callback_at_local,
    into_hours,
)
from ringback.domain.calling_hours import CallingHours

from .depth import checked
from .places import ALL_ZONES, instant_of, instants_in, places
from .policies import calendars

pytestmark = pytest.mark.matrix

SOONEST, FURTHEST = timedelta(minutes=5), timedelta(days=14)
LEASES = st.sampled_from([30.1, 60.0, 330.0]).map(lambda seconds: timedelta(seconds=seconds))
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
P = CallbackProblem
spoken_time = EnglishSpokenTime()


def promised_or_problem(promise, wanted, rules, now):
    try:
        return promise(wanted, rules, now)
    except CallbackRefused as refused:
        return refused.problem


def expected(wanted, calendar, rules, now):
    """The due time or the problem, worked out minute by minute."""
    if wanted <= now:
        return P.PAST
    if wanted - now < SOONEST:
        return P.TOO_SOON
    if wanted - now > FURTHEST:
        return P.TOO_FAR
    due_at = calendar.first_open(wanted, rules.zones, rules.open_at_least)
    if due_at is None:
        return P.NEVER_OPEN
    if rules.expires_at is not None and due_at >= rules.expires_at:
        return P.TOO_LATE
    return P.TOO_FAR if due_at - now > FURTHEST else due_at


@st.composite
def wishes(draw, most_zones):
    """When, under which rules, and how far ahead the person wants the call; often at the edge of what is allowed."""
    now, zones = draw(places(most_zones=most_zones))
    calendar = draw(calendars(now))
    ahead = draw(st.sampled_from([0, 299, 300, 301, 14 * 86400, 14 * 86400 + 1]) | st.integers(-86400, 15 * 86400))
    expires_at = draw(st.none() | st.integers(60, 15 * 86400).map(lambda seconds: now + timedelta(seconds=seconds)))
    rules = CallbackRules(calendar.hours, draw(LEASES), zones, expires_at)
    return now, calendar, rules, now + timedelta(seconds=ahead)


@pytest.mark.parametrize(
    ("hours", "opens"),
    [
        ("mon 09:00-09:02,09:03-12:00", "09:03"),  # not half a minute after the lease of the first one would have ended
        ("mon 09:00-09:02,09:06-09:07,11:00-12:00", "11:00"),  # the second is too short as well
    ],
)
def test_windows_shorter_than_the_lease_are_passed_over_one_by_one(hours, opens):
    rules = CallbackRules(CallingHours.parse(hours), timedelta(seconds=330), ("UTC",))
    at_eight = datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert f"{into_hours(at_eight, rules):%H:%M:%S}" == f"{opens}:00"


@checked(40)
@given(wishes(most_zones=3))
def test_an_instant_is_promised_at_the_earliest_legal_minute_or_refused_for_the_rule_it_breaks(wish):
    now, calendar, rules, wanted = wish
    found = promised_or_problem(callback_at_instant, wanted, rules, now)
    right = expected(wanted, calendar, rules, now)
    if isinstance(right, P):
        assert found is right
        return
    assert (found.due_at, found.local_time, found.moved) == (right, None, right != wanted)
    assert SOONEST <= found.due_at - now <= FURTHEST


@checked(30)
@given(wishes(most_zones=1))
def test_a_wall_clock_wish_is_promised_on_that_clock(wish):
    now, calendar, rules, wanted = wish
    (zone,) = rules.zones
    local = wanted.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    found = promised_or_problem(callback_at_local, local, rules, now)
    instant = instant_of(local.replace(second=0), zone)
    right = expected(instant, calendar, rules, now)
    if isinstance(right, P):
        assert found is right
        return
    assert (found.due_at, found.time_zone, found.moved) == (right, zone, right != instant)
    assert datetime.fromisoformat(found.local_time) == right.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@checked(15)
@given(wishes(most_zones=3))
def test_a_wall_clock_wish_is_no_moment_while_the_person_may_be_in_several_zones(wish):
    now, _, rules, wanted = wish
    for zones in ((), rules.zones if len(rules.zones) > 1 else ()):
        unclear = CallbackRules(rules.hours, rules.open_at_least, zones)
        assert promised_or_problem(callback_at_local, wanted.replace(tzinfo=None), unclear, now) is P.ZONE_UNKNOWN


@st.composite
def phrases(draw, now_local):
    """Words for a clock time on a day from today to the 13th ahead, and the wall clock that they mean."""
    ahead, minute = (
        draw(st.integers(0, 13)),
        draw(st.integers(0, 1439) | st.integers(0, 23).map(lambda hour: hour * 60)),
    )
    day = now_local.date() + timedelta(days=ahead)
    said = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
    clock = f"{said.hour % 12 or 12}:{said.minute:02d} {'am' if said.hour < 12 else 'pm'}"
    ways = [
        f"{said:%Y-%m-%d}T{said:%H:%M}",
        f"{said:%Y-%m-%d} at {clock}",
        f"{said:%B} {day.day} {day.year} at {clock}",
    ]
    if ahead:
        ways += [
            f"in {ahead} day{'s' * (ahead > 1)} at {clock}",
            f"{DAYS[day.weekday()]}, {said:%B} {day.day}, {clock}",
        ]
    near = {0: f"today at {clock}", 1: f"Tomorrow at {clock}, please", 2: f"the day after tomorrow at {clock}"}
    if ahead in near:
        ways.append(near[ahead])
    if ahead and said.minute == 0 and 1 <= said.hour <= 11:
        ways.append(f"{said:%B} {day.day} at {said.hour} in the morning")
    if ahead and (said.hour, said.minute) == (12, 0):
        ways.append(f"{said:%B} {day.day} at noon")
    return draw(st.sampled_from(ways)), said


@checked(80)
@given(st.data())
def test_what_was_said_is_what_the_clock_there_shows_when_the_phone_rings(data):
    zone = data.draw(st.sampled_from(ALL_ZONES))
    now = data.draw(instants_in(zone))
    words, said = data.draw(phrases(now.astimezone(ZoneInfo(zone))))
    moment = spoken_time.read(words, now, (zone,), None)
    assert (moment.local, moment.instant) == (said, None), words
    rules = CallbackRules(CallingHours(), timedelta(seconds=60), (zone,))
    found = promised_or_problem(callback_at_local, moment.local, rules, now)
    rings = instant_of(said, zone)
    if isinstance(found, P):
        assert not SOONEST <= rings - now <= FURTHEST
        return
    shown = found.due_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert found.due_at == rings
    assert shown >= said, "only a clock that skips the minute shows another one, and then a later"


@checked(30)
@given(st.data())
def test_a_span_is_as_long_as_it_was_said_across_any_clock_change(data):
    zone = data.draw(st.sampled_from(ALL_ZONES))
    now = data.draw(instants_in(zone))
    hours, minutes = data.draw(st.integers(1, 300)), data.draw(st.integers(5, 59))
    for words, length in (
        (f"in {hours} hours", timedelta(hours=hours)),
        (f"in {minutes} minutes", timedelta(minutes=minutes)),
        (f"in {hours} hours and {minutes} minutes", timedelta(hours=hours, minutes=minutes)),
    ):
        moment = spoken_time.read(words, now, (zone,), None)
        rules = CallbackRules(CallingHours(), timedelta(seconds=60), (zone,))
        assert callback_at_instant(moment.instant, rules, now).due_at - now == length
