"""Requests for a callback, said on Sunday, 22 November 2026, at three in the afternoon in New York."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.adapters.spoken_time.questions import ASK_DAY, ASK_DAY_AND_TIME, ASK_MIDNIGHT, ASK_TIME, ASK_ZONE
from ringback.ports import SpokenMoment

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 22, 15, 0, tzinfo=NEW_YORK)
SPOKEN = EnglishSpokenTime()


def read(
    words: str, now: datetime = NOW, zones: tuple[str, ...] = ("America/New_York",), country: str | None = "US"
) -> SpokenMoment:
    return SPOKEN.read(words, now, zones, country)


def local(text: str) -> SpokenMoment:
    return SpokenMoment(local=datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("words", "instant"),
    [
        ("2026-12-02T15:00:00-05:00", "2026-12-02T20:00:00"),
        ("2026-12-02T20:00:00.250Z", "2026-12-02T20:00:00.250000"),
        ("2026-12-02t20:00z", "2026-12-02T20:00:00"),
        ("2026-12-02 15:00 -0500", "2026-12-02T20:00:00"),
    ],
)
def test_a_written_time_with_an_offset_is_an_instant(words, instant):
    assert read(words) == SpokenMoment(instant=datetime.fromisoformat(instant).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ("in two hours", 120),
        ("In 45 minutes.", 45),
        ("in forty-five minutes", 45),
        ("in ninety minutes", 90),
        ("in an hour", 60),
        ("in about an hour", 60),
        ("in half an hour", 30),
        ("in an hour and a half", 90),
        ("in two and a half hours", 150),
        ("in 1.5 hours", 90),
        ("in 2 hours and 30 minutes", 150),
        ("in 1 hr 20 mins", 80),
        ("two hours from now", 120),
        ("please call me back in 24 hours", 24 * 60),
    ],
)
def test_a_span_counts_from_now(words, minutes):
    assert read(words) == SpokenMoment(instant=NOW.astimezone(UTC) + timedelta(minutes=minutes))


def test_a_span_across_the_clock_change_is_real_time():
    night_before = datetime(2026, 10, 31, 22, 0, tzinfo=NEW_YORK)
    assert read("in 10 hours", night_before).instant == datetime(2026, 11, 1, 12, 0, tzinfo=UTC)  # 07:00 there


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("2026-12-02 15:00", "2026-12-02T15:00"),
        ("2026-12-02T15:00:30", "2026-12-02T15:00:30"),
        ("2026-12-02 at 3pm", "2026-12-02T15:00"),
        ("tomorrow at 3pm", "2026-11-23T15:00"),
        ("Tomorrow, at 3 P.M.", "2026-11-23T15:00"),
        ("3 p m tomorrow", "2026-11-23T15:00"),
        ("how about tomorrow at 3pm?", "2026-11-23T15:00"),
        ("please call me back tomorrow at three o'clock in the afternoon", "2026-11-23T15:00"),
        ("tomorrow around 3pm", "2026-11-23T15:00"),
        ("tomorrow at noon", "2026-11-23T12:00"),
        ("tomorrow at 12 pm", "2026-11-23T12:00"),
        ("tomorrow at 12am", "2026-11-23T00:00"),
        ("tomorrow at 15:00", "2026-11-23T15:00"),
        ("tomorrow at 09:00", "2026-11-23T09:00"),
        ("tomorrow at twenty thirty", "2026-11-23T20:30"),
        ("tomorrow at three thirty pm", "2026-11-23T15:30"),
        ("tomorrow at three oh five pm", "2026-11-23T15:05"),
        ("tomorrow at 3.30pm", "2026-11-23T15:30"),
        ("tomorrow morning at ten", "2026-11-23T10:00"),
        ("tomorrow afternoon at half past three", "2026-11-23T15:30"),
        ("tomorrow at a quarter to four pm", "2026-11-23T15:45"),
        ("tomorrow at quarter to one pm", "2026-11-23T12:45"),
        ("tomorrow at quarter to twelve in the morning", "2026-11-23T11:45"),
        ("tomorrow at 20 past 4 pm", "2026-11-23T16:20"),
        ("tomorrow at ten minutes to four pm", "2026-11-23T15:50"),
        ("tomorrow, Monday, at 3pm", "2026-11-23T15:00"),
        ("the day after tomorrow at 8 am", "2026-11-24T08:00"),
        ("tonight at 8", "2026-11-22T20:00"),
        ("this evening at 7:30", "2026-11-22T19:30"),
        ("monday 9am", "2026-11-23T09:00"),
        ("on Friday at half past two pm", "2026-11-27T14:30"),
        ("this coming tuesday at 10am", "2026-11-24T10:00"),
        ("in three days at 3pm", "2026-11-25T15:00"),
        ("a week from tomorrow at 9 am", "2026-11-30T09:00"),
        ("the 5th at noon", "2026-12-05T12:00"),
        ("the twenty-fifth at 9 a.m.", "2026-11-25T09:00"),
        ("saturday the 5th at noon", "2026-12-05T12:00"),
        ("the 31st at 4pm", "2026-12-31T16:00"),
        ("December 3rd at 4:30 pm", "2026-12-03T16:30"),
        ("the third of december at four thirty p.m.", "2026-12-03T16:30"),
        ("Dec. 3, 2026 at 10 PM", "2026-12-03T22:00"),
        ("dec 3 10 pm", "2026-12-03T22:00"),
        ("friday december 4 at noon", "2026-12-04T12:00"),
        ("january 4 at noon", "2027-01-04T12:00"),
        ("february 29 at noon", "2028-02-29T12:00"),
        ("12/25 at 3pm", "2026-12-25T15:00"),
    ],
)
def test_a_day_and_a_clock_time_are_a_local_moment(words, expected):
    assert read(words) == local(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sunday at 4pm", "2026-11-22T16:00"),
        ("sunday at 2pm", "2026-11-29T14:00"),
        ("next sunday at 4pm", "2026-11-29T16:00"),
        ("the 22nd at 4pm", "2026-11-22T16:00"),
        ("the 22nd at 2pm", "2026-12-22T14:00"),
        ("november 22 at 2pm", "2027-11-22T14:00"),
    ],
)
def test_a_day_without_its_date_is_the_next_one_ahead(words, expected):
    assert read(words) == local(expected)


WEDNESDAY = datetime(2026, 11, 25, 15, 0, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("words", "now", "expected"),
    [
        ("next tuesday at 10am", WEDNESDAY, "2026-12-01T10:00"),
        ("next monday at 10am", WEDNESDAY, "2026-11-30T10:00"),
        ("next wednesday at 10am", WEDNESDAY, "2026-12-02T10:00"),
        ("tuesday next week at 10am", WEDNESDAY, "2026-12-01T10:00"),
        ("next week tuesday at 10am", WEDNESDAY, "2026-12-01T10:00"),
        ("friday of next week at 10am", WEDNESDAY, "2026-12-04T10:00"),
    ],
)
def test_a_day_of_next_week_is_clear_where_it_is_the_same_however_weeks_are_counted(words, now, expected):
    assert read(words, now) == local(expected)


@pytest.mark.parametrize(
    ("words", "now", "ask"),
    [
        ("next tuesday at 10am", NOW, "Do you mean Tuesday, November 24, or Tuesday, December 1?"),
        ("next friday at 10am", WEDNESDAY, "Do you mean Friday, November 27, or Friday, December 4?"),
        ("tuesday next week at 10am", NOW, "Do you mean Tuesday, November 24, or Tuesday, December 1?"),
        ("sunday next week at 10am", WEDNESDAY, "Do you mean Sunday, November 29, or Sunday, December 6?"),
    ],
)
def test_a_day_of_next_week_that_some_people_count_otherwise_is_asked_for(words, now, ask):
    assert read(words, now) == SpokenMoment(ask=ask)


def test_a_numeric_date_has_the_month_first_in_the_united_states_alone():
    assert read("12/3 at 3pm") == local("2026-12-03T15:00")
    question = SpokenMoment(ask="Do you mean Thursday, December 3, or Friday, March 12?")
    assert read("12/3 at 3pm", country="CA") == question
    assert read("12/3 at 3pm", country=None) == question
    assert read("25/12 at 3pm", country="CA") == local("2026-12-25T15:00")
    assert read("3/4/0000 at 3pm", country="CA") == read("13/13/2026 at 3pm", country="CA")
    assert read("3/3 at 3pm", country="CA") == local("2027-03-03T15:00")


@pytest.mark.parametrize(
    ("words", "zones", "expected"),
    [
        ("tomorrow at 3pm MST", ("America/Denver",), "America/Denver"),
        ("tomorrow at 3pm MST", ("America/Phoenix",), "America/Phoenix"),
        ("tomorrow at 3pm Mountain time", ("America/Los_Angeles",), "America/Denver"),
        ("tomorrow at 3pm Eastern", (), "America/New_York"),
        ("tomorrow at 3pm Eastern, my time", ("America/Detroit",), "America/New_York"),
    ],
)
def test_a_zone_beside_the_clock_time_is_the_zone_of_the_request(words, zones, expected):
    moment = read(words, zones=zones)
    assert (moment.local, moment.zone) == (datetime(2026, 11, 23, 15), expected)


@pytest.mark.parametrize(
    ("words", "zones", "ask"),
    [
        ("tomorrow at 3pm MST", ("America/New_York",), "Is that Denver time or Phoenix time?"),
        ("tomorrow at 3pm Mountain", ("America/Phoenix",), "Is that Denver time or Phoenix time?"),
        ("tomorrow at 3pm EST", ("America/Jamaica",), "Is that New York time or Jamaica time?"),
        ("tomorrow at 3pm Texas time", (), "Is that Chicago time or Denver time?"),
        ("tomorrow at 3pm your time", ("America/New_York",), ASK_ZONE),
        ("tomorrow at 3pm Eastern, my time", ("America/Phoenix",), ASK_ZONE),
    ],
)
def test_a_zone_that_may_be_another_is_asked_for(words, zones, ask):
    assert read(words, zones=zones) == SpokenMoment(ask=ask)


def test_tomorrow_is_asked_for_where_it_is_another_day_than_in_the_zone_that_was_named():
    after_midnight = datetime(2026, 11, 23, 0, 30, tzinfo=NEW_YORK)  # still Sunday in Los Angeles
    assert read("tomorrow at 3pm Pacific", after_midnight) == SpokenMoment(ask=ASK_DAY)
    there = SpokenMoment(local=datetime(2026, 11, 23, 15), zone="America/Los_Angeles")
    assert read("tomorrow at 3pm Pacific", after_midnight, zones=("America/Los_Angeles", "America/New_York")) == there
    assert read("tomorrow at 3pm Pacific", after_midnight, zones=()) == there
    on_the_day = SpokenMoment(local=datetime(2026, 11, 25, 15), zone="America/Los_Angeles")
    assert read("November 25 at 3pm Pacific", after_midnight) == on_the_day


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("yesterday at 3pm", "2026-11-21T15:00"),
        ("today at 9am", "2026-11-22T09:00"),
        ("2020-01-01 10:00", "2020-01-01T10:00"),
        ("december 3 2025 at noon", "2025-12-03T12:00"),
    ],
)
def test_an_explicitly_past_time_stays_past(words, expected):
    assert read(words) == local(expected)


def test_today_the_half_of_the_day_that_is_over_is_not_meant():
    assert read("today at 5") == local("2026-11-22T17:00")
    assert read("today at half past five") == local("2026-11-22T17:30")
    before_five = NOW.replace(hour=2)
    assert read("today at 5", before_five) == SpokenMoment(ask="Do you mean 5 in the morning or in the afternoon?")


@pytest.mark.parametrize(
    ("words", "ask"),
    [
        ("tomorrow at 3", "Do you mean 3 in the morning or in the afternoon?"),
        ("tomorrow 3", "Do you mean 3 in the morning or in the afternoon?"),
        ("tomorrow at 9:00", "Do you mean 9 in the morning or in the evening?"),
        ("tuesday at seven thirty", "Do you mean 7:30 in the morning or in the evening?"),
        ("tomorrow at 12", "Do you mean noon or midnight?"),
        ("tomorrow at quarter to 12", "Do you mean 11:45 in the morning or in the evening?"),
        ("tomorrow at quarter to 12 pm", ASK_TIME),
        ("tomorrow at quarter to 12 am", ASK_TIME),
        ("tomorrow at midnight", ASK_MIDNIGHT),
    ],
)
def test_an_open_half_of_the_day_is_asked_for(words, ask):
    assert read(words) == SpokenMoment(ask=ask)


@pytest.mark.parametrize(
    "words",
    [
        "tomorrow",
        "tuesday",
        "tonight",
        "tomorrow morning",
        "2026-12-02",
        "in three days",
        "december 3",
        "the 5th",
        "tomorrow at 13 pm",
        "tomorrow at 11 in the afternoon",
        "tonight at noon",
    ],
)
def test_a_missing_clock_time_is_asked_for(words):
    assert read(words) == SpokenMoment(ask=ASK_TIME)


@pytest.mark.parametrize("words", ["3pm", "at noon", "at 9 in the morning", "half past two pm", "at 15:00"])
def test_a_missing_day_is_asked_for(words):
    assert read(words) == SpokenMoment(ask=ASK_DAY)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "10",
        "later",
        "soon",
        "next week",
        "in a few minutes",
        "in a while",
        "not tomorrow at 3pm",
        "after 3pm tomorrow",
        "tomorrow between 3 and 4 pm",
        "tomorrow 5 to 7 pm",
        "tomorrow 3-4pm",
        "tomorrow at 3pm or 4pm",
        "tomorrow or tuesday at 3pm",
        "tomorrow, Tuesday, at 3pm",
        "friday the 5th at noon",
        "thursday december 4 at noon",
        "february 30 at noon",
        "tomorrow at 25:00",
        "tomorrow at 3:75 pm",
        "tomorrow at zero minutes to four pm",
        "in an hour tomorrow",
        "december 3 january 4 at 3pm",
        "5 december 5 at 3pm",
        "december 2026 at 3pm",
        "2026-02-30T10:00",
        "2026-12-02T25:00",
        "9999-12-31T23:59",
        "0001-01-01T00:00+14:00",
        "2026-12-02T15:00[America/New_York]",
        "٢٠٢٦-12-02T15:00",
        "mañana a las 3",
        "tomorrow at 3pm " * 200,
        "9" * 3000,
    ],
)
def test_words_that_were_not_all_understood_are_never_guessed(words):
    assert read(words) == SpokenMoment(ask=ASK_DAY_AND_TIME)


def test_a_clock_without_a_zone_is_the_caller_s_mistake():
    with pytest.raises(ValueError):
        read("tomorrow at 3pm", datetime(2026, 11, 22, 15, 0))


REPEATABLE = settings(max_examples=150, derandomize=True, database=None)
WORDS = (
    "tomorrow today tonight next this monday tuesday the 5th of december in at on 3 10 45 pm am noon midnight half "
    "past quarter to hours minutes an a and morning evening week from now day after 2026 15:00 3:30 12/25 two thirty"
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1))


@REPEATABLE
@given(st.lists(st.sampled_from(WORDS.split()), max_size=8).map(" ".join) | st.text(max_size=200), MOMENTS)
def test_any_words_are_a_moment_or_a_question(words, moment):
    now = moment.replace(tzinfo=NEW_YORK)
    answer = read(words, now)
    assert [answer.instant, answer.local, answer.ask].count(None) == 2
    assert answer == read(words, now)


@REPEATABLE
@given(st.sampled_from(["monday", "thursday", "sunday"]), st.integers(1, 11), st.sampled_from(["am", "pm"]), MOMENTS)
def test_a_weekday_is_the_first_such_moment_ahead(day, hour, half, moment):
    at = read(f"{day} at {hour}{half}", moment.replace(tzinfo=NEW_YORK)).local
    assert at is not None
    assert at.strftime("%A").lower() == day
    assert (at.hour, at.minute) == (hour + (12 if half == "pm" else 0), 0)
    assert moment < at <= moment + timedelta(days=7)


@REPEATABLE
@given(st.datetimes(datetime(2024, 1, 1), datetime(2029, 12, 31)), MOMENTS)
def test_a_full_date_is_read_back_as_it_was_said(at, moment):
    at = at.replace(second=0, microsecond=0)
    words = f"{at:%B} {at.day} {at.year} at {at:%I:%M %p}"
    assert read(words, moment.replace(tzinfo=NEW_YORK)).local == at
