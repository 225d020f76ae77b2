"""Calling hours and wall-clock times: written forms, clock changes, and a slow oracle beside the fast search."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.domain.calling_hours import SEARCH_LIMIT, CallingHours, local_time, resolve_local

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"
OFFICE = CallingHours.parse("mon-sat 09:00-20:00")
REPEATABLE = settings(max_examples=100, derandomize=True, database=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("always", "always"),
        (" Always ", "always"),
        ("mon-sat 09:00-20:00", "mon-sat 09:00-20:00"),
        ("mon-fri 09:00-20:00; sat 10:00-18:00", "mon-fri 09:00-20:00; sat 10:00-18:00"),
        ("mon-fri 09:00-20:00, sat 10:00-18:00", "mon-fri 09:00-20:00; sat 10:00-18:00"),
        ("Monday - Friday 9:00 - 20:00", "mon-fri 09:00-20:00"),
        ("mon,wed 9:00-12:00,13:00-18:00; sun 10:00-14:00", "mon,wed 09:00-12:00,13:00-18:00; sun 10:00-14:00"),
        ("fri 22:00-02:00", "fri 22:00-02:00"),
        ("sat-mon 00:00-24:00", "mon,sat,sun 00:00-24:00"),
        ("tue 09:00-00:00", "tue 09:00-24:00"),
        ("mon-fri 09:00-20:00; !2026-12-25, !2026-11-26", "mon-fri 09:00-20:00; !2026-11-26; !2026-12-25"),
    ],
)
def test_calling_hours_are_read_and_written_back_in_one_form(text, canonical):
    hours = CallingHours.parse(text)
    assert str(hours) == canonical
    assert CallingHours.parse(canonical) == hours


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "have no window"),
        ("mon-sat", "Every day needs its hours"),
        ("mon-fri 09:00-20:00, sat", "Every day needs its hours"),
        ("mon; 09:00-10:00", "Every day needs its hours"),
        ("09:00-20:00", "need their days"),
        ("mon 09:00-10:00 !2026-12-25 11:00-12:00", "need their days"),
        ("monsday 09:00-10:00", "is no day"),
        ("mon-tue-wed 09:00-10:00", "is no day"),
        ("always; mon 09:00-10:00", "is no day"),
        ("tue 9-17", "neither days, nor hours"),
        ("mon 25:00-26:00", "beyond 24:00"),
        ("mon 09:60-10:00", "beyond 24:00"),
        ("mon 24:00-02:00", "beyond 24:00"),
        ("mon 09:00-09:00", "is empty"),
        ("!2026-12-25", "have no window"),
        ("mon 09:00-10:00 !2026-13-01", "is no date"),
    ],
)
def test_unreadable_hours_say_what_to_write(text, problem):
    with pytest.raises(ValueError, match=problem) as refused:
        CallingHours.parse(text)
    assert ": write " in str(refused.value)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-23T13:59:59", False),  # Monday 08:59:59 in New York
        ("2026-11-23T14:00:00", True),
        ("2026-11-24T00:59:59", True),  # Monday 19:59:59
        ("2026-11-24T01:00:00", False),
        ("2026-11-22T17:00:00", False),  # Sunday noon
    ],
)
def test_the_end_of_a_window_is_closed(at, is_open):
    assert OFFICE.is_open(utc(at), (NEW_YORK,)) is is_open


def test_it_is_open_only_when_open_in_every_zone():
    nine_in_new_york = utc("2026-11-23T14:00")
    assert OFFICE.is_open(nine_in_new_york, (NEW_YORK,))
    assert not OFFICE.is_open(nine_in_new_york, (NEW_YORK, LOS_ANGELES))
    assert OFFICE.next_open(nine_in_new_york, (NEW_YORK, LOS_ANGELES)) == utc("2026-11-23T17:00")


@pytest.mark.parametrize("zones", [(), ("Mars/Olympus",), (NEW_YORK, "Mars/Olympus"), ("",)])
def test_not_knowing_where_a_person_is_means_closed(zones):
    at = utc("2026-11-23T16:00")
    assert not OFFICE.is_open(at, zones)
    assert not OFFICE.open_for(at, zones, timedelta(seconds=1))
    assert OFFICE.next_open(at, zones) is None


def test_always_is_open_wherever_the_person_is():
    always, at = CallingHours(), utc("2026-11-23T03:00:12")
    assert always.is_open(at, ())
    assert always.open_for(at, ("Mars/Olympus",), timedelta(days=400))
    assert always.next_open(at, ()) == at


def test_a_window_must_last_as_long_as_asked():
    at = utc("2026-11-24T00:59:00")  # a minute before closing
    assert OFFICE.open_for(at, (NEW_YORK,), timedelta(seconds=60))
    assert not OFFICE.open_for(at, (NEW_YORK,), timedelta(seconds=61))


def test_windows_that_meet_at_midnight_are_one():
    whole_week = CallingHours.parse("mon-sun 00:00-24:00")
    assert whole_week.open_for(utc("2026-11-23T03:00"), (NEW_YORK,), timedelta(days=3))


def test_a_night_window_belongs_to_the_day_it_began():
    friday_night = CallingHours.parse("fri 22:00-02:00")
    assert friday_night.is_open(utc("2026-11-28T06:59"), (NEW_YORK,))  # Saturday 01:59
    assert not friday_night.is_open(utc("2026-11-28T07:00"), (NEW_YORK,))
    assert not friday_night.is_open(utc("2026-11-27T06:00"), (NEW_YORK,))  # Friday 01:00


def test_a_sunday_night_runs_into_monday():
    assert CallingHours.parse("sun 23:00-01:00").is_open(utc("2026-11-23T05:30"), (NEW_YORK,))


def test_a_holiday_closes_its_date_and_the_night_that_began_on_it():
    hours = CallingHours.parse("mon-sun 20:00-02:00; !2026-12-25")
    is_open = {at: hours.is_open(utc(at), ("UTC",)) for at in ("2026-12-24T21:00", "2026-12-25T01:00")}
    assert is_open == {"2026-12-24T21:00": True, "2026-12-25T01:00": False}
    assert hours.next_open(utc("2026-12-25T00:00"), ("UTC",)) == utc("2026-12-26T20:00")


def test_next_open_is_now_when_it_is_open_now():
    at = utc("2026-11-23T15:00:07.5")
    assert OFFICE.next_open(at, (NEW_YORK,)) == at


def test_next_open_is_a_whole_minute_otherwise():
    assert OFFICE.next_open(utc("2026-11-22T15:00:07.5"), (NEW_YORK,)) == utc("2026-11-23T14:00")


def test_next_open_follows_the_clock_change():
    # 2026-03-08 02:00 in New York is 03:00: from 14:00Z to 13:00Z for nine o'clock.
    hours = CallingHours.parse("sun 09:00-10:00")
    assert hours.next_open(utc("2026-03-01T15:00"), (NEW_YORK,)) == utc("2026-03-08T13:00")
    assert hours.next_open(utc("2026-10-25T15:00"), (NEW_YORK,)) == utc("2026-11-01T14:00")


def test_a_window_inside_the_gap_does_not_open_that_day():
    hours = CallingHours.parse("sun 02:15-02:45")
    assert hours.next_open(utc("2026-03-08T06:00"), (NEW_YORK,)) == utc("2026-03-15T06:15")


def test_a_window_inside_the_overlap_opens_twice():
    hours = CallingHours.parse("sun 01:15-01:45")
    assert hours.next_open(utc("2026-11-01T05:00"), (NEW_YORK,)) == utc("2026-11-01T05:15")
    assert hours.next_open(utc("2026-11-01T05:45"), (NEW_YORK,)) == utc("2026-11-01T06:15")


def test_there_may_be_no_opening_within_the_limit():
    closed = "; ".join(f"!{date(2026, 11, 23) + timedelta(days=day)}" for day in range(16))
    assert CallingHours.parse(f"mon-sun 09:00-20:00; {closed}").next_open(utc("2026-11-23T12:00"), ("UTC",)) is None
    apart = (NEW_YORK, "Europe/London", "Asia/Tokyo")
    assert OFFICE.next_open(utc("2026-11-23T12:00"), apart) is None


@pytest.mark.parametrize(
    ("local", "zone", "instant"),
    [
        ("2026-12-02T15:00", NEW_YORK, "2026-12-02T20:00"),
        ("2026-07-02T15:00", NEW_YORK, "2026-07-02T19:00"),
        ("2026-03-08T02:30", NEW_YORK, "2026-03-08T07:30"),  # gap: 03:30 there
        ("2026-11-01T01:30", NEW_YORK, "2026-11-01T05:30"),  # overlap: the first
        ("2026-12-02T15:00", "Asia/Kathmandu", "2026-12-02T09:15"),
    ],
)
def test_a_local_time_in_a_gap_moves_forward_and_in_an_overlap_is_the_first(local, zone, instant):
    assert resolve_local(datetime.fromisoformat(local), zone) == utc(instant)
    # A repeated hour is the first also if the caller's datetime says otherwise.
    assert resolve_local(datetime.fromisoformat(local).replace(fold=1), zone) == utc(instant)


@pytest.mark.parametrize(
    ("local", "zone"),
    [
        (datetime(2026, 12, 2, 15), "Mars/Olympus"),
        (datetime(2026, 12, 2, 15, tzinfo=UTC), NEW_YORK),
        (datetime(9999, 12, 31, 23), LOS_ANGELES),
        (datetime(1, 1, 1), "Asia/Tokyo"),
    ],
)
def test_a_local_time_that_is_no_instant_is_a_value_error(local, zone):
    with pytest.raises(ValueError):
        resolve_local(local, zone)


def test_local_time_is_written_to_the_minute():
    assert local_time(utc("2026-12-02T20:00:59"), NEW_YORK) == "2026-12-02T15:00"
    with pytest.raises(ValueError):
        local_time(utc("2026-12-02T20:00"), "Mars/Olympus")


# A clock change of each kind, the night before it: by an hour and by half an hour, at two o'clock and at midnight.
CHANGES = (
    (NEW_YORK, "2026-03-07"),
    (NEW_YORK, "2026-10-31"),
    (LOS_ANGELES, "2026-03-07"),
    ("Europe/London", "2026-10-24"),
    ("Africa/Cairo", "2026-04-23"),
    ("America/Havana", "2026-03-07"),
    ("America/Havana", "2026-10-31"),
    ("America/St_Johns", "2026-03-07"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Pacific/Chatham", "2026-04-04"),
)
ZONES = (*sorted({zone for zone, _ in CHANGES}), "Asia/Kolkata", "Pacific/Kiritimati")
WEEK_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@st.composite
def windows(draw):
    """(weekday, start, end) in minutes; an end before the start is in the following day. Many at the hours and days
    of clock changes."""
    starts = st.sampled_from([15, 75, 90, 135, 150, 195, 250, 540]) | st.integers(0, 1439)
    ends = st.integers(0, 1439)
    one = st.tuples(st.sampled_from([4, 5, 6, 6, 6, 0, 1]), starts, ends).filter(lambda w: w[1] != w[2])
    return draw(st.lists(one, min_size=1, max_size=5))


@st.composite
def places(draw):
    """An instant and the zones of a person: the night of a clock change of the first zone, or any other night."""
    zone, day = draw(st.sampled_from(CHANGES))
    day = draw(st.sampled_from([day] * 3 + [None])) or str(draw(st.dates(date(2025, 1, 1), date(2028, 12, 31))))
    local = datetime.fromisoformat(day) + timedelta(minutes=draw(st.integers(20 * 60, 28 * 60)))
    at = resolve_local(local, zone) + timedelta(seconds=draw(st.sampled_from([0, 0, 1, 59])))
    other = draw(st.none() | st.sampled_from(ZONES))
    return at, (zone,) if other in (None, zone) else (zone, other)


def written(wanted, holidays):
    clock = [f"{WEEK_DAYS[d]} {a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for d, a, b in wanted]
    return "; ".join([*clock, *(f"!{day}" for day in holidays)])


def is_open_slowly(at, zones, wanted, holidays):
    def in_zone(local):
        minute, day = local.hour * 60 + local.minute, local.date()
        if day in holidays:
            return False
        for weekday, start, end in wanted:
            if day.weekday() == weekday and start <= minute and (minute < end or end < start):
                return True
            yesterday = day - timedelta(days=1)
            if yesterday.weekday() == weekday and end < start and minute < end and yesterday not in holidays:
                return True
        return False

    return all(in_zone(at.astimezone(zone)) for zone in zones)


def whole_minutes(at, limit):
    minute = at.replace(second=0, microsecond=0)
    while minute < limit:
        if minute > at:
            yield minute
        minute += timedelta(minutes=1)


@REPEATABLE
@given(places(), windows(), st.booleans())
def test_next_open_is_the_first_open_minute_of_a_slow_search(place, wanted, with_holiday):
    at, names = place
    holidays = {at.date() + timedelta(days=1)} if with_holiday else set()
    zones = [ZoneInfo(name) for name in names]
    candidates = (at, *whole_minutes(at, at + SEARCH_LIMIT))
    expected = next((minute for minute in candidates if is_open_slowly(minute, zones, wanted, holidays)), None)
    assert CallingHours.parse(written(wanted, holidays)).next_open(at, names) == expected


@REPEATABLE
@given(places(), windows(), st.integers(1, 3 * 1440))
def test_open_for_agrees_with_every_minute_of_it(place, wanted, length_min):
    at, names = place
    # Long windows, or nothing would ever stay open.
    wanted = [(day, start, start - 1) for day, start, _ in wanted if start] + [(d, 0, 1439) for d in range(7)]
    zones, length = [ZoneInfo(name) for name in names], timedelta(minutes=length_min)
    expected = all(is_open_slowly(m, zones, wanted, set()) for m in (at, *whole_minutes(at, at + length)))
    assert CallingHours.parse(written(wanted, ())).open_for(at, names, length) is expected


@REPEATABLE
@given(windows(), st.sets(st.dates(), max_size=3))
def test_every_form_is_read_back_as_it_was(wanted, holidays):
    hours = CallingHours.parse(written(wanted, holidays))
    assert CallingHours.parse(str(hours)) == hours


@REPEATABLE
@given(st.text(alphabet="montuesatalways-0123456789:;,! ", max_size=60))
def test_any_text_is_hours_or_a_value_error(text):
    try:
        hours = CallingHours.parse(text)
    except ValueError:
        return
    assert CallingHours.parse(str(hours)) == hours


@REPEATABLE
@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)), st.sampled_from(ZONES))
def test_a_local_time_outside_gaps_comes_back_as_it_went_in(local, zone):
    local = local.replace(second=0, microsecond=0)
    there = datetime.fromisoformat(local_time(resolve_local(local, zone), zone))
    assert there == local or local < there <= local + timedelta(hours=1)
