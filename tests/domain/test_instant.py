"""RFC 3339 in, instants out; wall-clock times in, the words of a voice out."""

from datetime import UTC, datetime

import pytest

from ringback.domain.instant import NotAnInstant, read_instant, say_clock, say_moment

TUESDAY_MORNING = datetime(2026, 12, 1, 9, 0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-01T17:00:00Z", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01t17:00:00z", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01T12:00-05:00", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01T17:00:00.250+00:00", datetime(2026, 12, 1, 17, 0, 0, 250_000, tzinfo=UTC)),
        ("1955-03-01T00:00:00-00:00", datetime(1955, 3, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_is_a_date_a_time_and_an_offset(text, moment):
    assert read_instant(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("2026-W49-2T15:00:00Z", "2026-335T15:00:00Z", "20261201T150000Z", "2026-12-01T15Z", "2026-12-01T1500Z"),
        *("2026-12-01T15:00:00+0000", "2026-12-01T15:00:00+00", "2026-12-01T15:00:00+24:00", "2026-12-01 15:00:00Z"),
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"),
        *("2026-12-01T24:30:00Z", "2026-12-01T15:00:00 Z", "2026-12-01T15:00:00UTC", "٢٠٢٦-12-01T15:00:00Z", "", "now"),
    ],
)
def test_everything_else_is_none(text):
    with pytest.raises(NotAnInstant) as refused:
        read_instant(text)
    assert not refused.value.lacks_offset


def test_a_time_without_its_offset_is_told_apart():
    with pytest.raises(NotAnInstant) as refused:
        read_instant("2026-12-01T15:00:00")
    assert refused.value.lacks_offset


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (datetime(2026, 12, 1, 15, 0), "today at 3 PM"),
        (datetime(2026, 12, 2, 15, 0), "tomorrow at 3 PM"),
        (datetime(2026, 12, 2, 0, 0), "tomorrow at midnight"),
        (datetime(2026, 12, 4, 9, 30), "on Friday at 9:30 AM"),
        (datetime(2026, 12, 7, 12, 0), "on Monday at noon"),
        (datetime(2026, 12, 8, 12, 5), "on Tuesday, December 8, at 12:05 PM"),
        (datetime(2026, 12, 15, 0, 5), "on Tuesday, December 15, at 12:05 AM"),
    ],
)
def test_a_moment_is_said_from_where_the_hearer_stands(at, said):
    assert say_moment(at, TUESDAY_MORNING) == said


def test_tomorrow_counts_dates_and_not_hours():
    assert say_moment(datetime(2026, 12, 2, 0, 30), datetime(2026, 12, 1, 23, 50)) == "tomorrow at 12:30 AM"


def test_eleven_in_the_evening():
    assert say_clock(datetime(2026, 12, 1, 23, 0)) == "11 PM"
