"""Wall-clock times in, the words a voice speaks out."""

from datetime import datetime

import pytest

from ringback.domain.instant import say_clock, say_moment

TUESDAY_MORNING = datetime(2026, 12, 1, 9, 0)


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
