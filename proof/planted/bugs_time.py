"""Bugs of clocks: the zone in which a person's hours are counted, and the moment that their words mean."""

import re

from proof.planted.bug import planted

_CORPUS = "adapters/spoken_time/test_corpus.py::"


@planted(
    "ringback.adapters.spoken_time.clocks:_YEAR", "I10", f"{_CORPUS}test_an_unclear_request_gets_a_question_or_is_past"
)
def a_year_is_read_as_a_clock_time(right: re.Pattern[str]) -> re.Pattern[str]:
    """A year has four digits."""
    return re.compile(right.pattern.replace(" ?", ""))
