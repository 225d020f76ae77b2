"""Names of time zones as people and systems say them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.domain import time_zone
from ringback.domain.time_zone import ZoneSource, find_zone, is_zone, resolve_zone_name

PERSON, CRM, GUESSED = ZoneSource.PERSON, ZoneSource.CRM, ZoneSource.GUESSED


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("America/New_York", "America/New_York"),
        ("america/new_york", "America/New_York"),
        ("America/Los Angeles", "America/Los_Angeles"),
        ("  EUROPE/BERLIN ", "Europe/Berlin"),
        ("US/Eastern", "US/Eastern"),
        ("Eastern", "America/New_York"),
        ("the Eastern time zone", "America/New_York"),
        ("U.S. Central Time", "America/Chicago"),
        ("Mountain Standard Time", "America/Denver"),
        ("Pacific time", "America/Los_Angeles"),
        ("EST", "America/New_York"),
        ("EDT", "America/New_York"),
        ("EST/EDT", "America/New_York"),
        ("PST", "America/Los_Angeles"),
        ("HST", "Pacific/Honolulu"),
        ("California", "America/Los_Angeles"),
        ("new york", "America/New_York"),
        ("Washington, D.C.", "America/New_York"),
        ("Washington State", "America/Los_Angeles"),
        ("Arizona", "America/Phoenix"),
        ("Hawaii", "Pacific/Honolulu"),
        ("CA", "America/Los_Angeles"),
        ("Alaska time", "America/Anchorage"),
        ("UTC", "UTC"),
    ],
)
def test_a_name_that_means_one_zone_resolves(text, zone):
    answer = resolve_zone_name(text)
    assert (answer.zone, answer.candidates) == (zone, ())
    assert is_zone(zone)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("Indiana", ("America/Indiana/Indianapolis", "America/Chicago")),
        ("Texas", ("America/Chicago", "America/Denver")),
        ("Florida", ("America/New_York", "America/Chicago")),
        ("Oregon", ("America/Los_Angeles", "America/Boise")),
        ("Alaska", ("America/Anchorage", "America/Adak")),
        ("TN", ("America/New_York", "America/Chicago")),
        ("Washington", ("America/New_York", "America/Los_Angeles")),
        ("MST", ("America/Denver", "America/Phoenix")),
        ("CT", ("America/New_York", "America/Chicago")),
        ("LA", ("America/Chicago", "America/Los_Angeles")),
    ],
)
def test_a_name_that_means_several_zones_names_them_to_choose_from(text, candidates):
    answer = resolve_zone_name(text)
    assert (answer.zone, answer.candidates) == (None, candidates)


@pytest.mark.parametrize(
    "text",
    ["", " ", "time", "or", "in", "me", "ok", "UTC-5", "-05:00", "Mars/Olympus", "localtime", "Factory", "x" * 5000],
)
def test_words_that_name_no_zone_resolve_to_nothing(text):
    answer = resolve_zone_name(text)
    assert (answer.zone, answer.candidates) == (None, ())


def test_every_zone_that_can_be_answered_exists():
    for zones in [*time_zone._STATES, *time_zone._SPOKEN]:
        assert isinstance(zones, tuple)
        assert all(is_zone(zone) for zone in zones)


def test_the_fifty_states_are_all_known():
    names = {name for names in time_zone._STATES.values() for name in names.split("|")}
    assert len({name for name in names if len(name) > 2} - {"new york state"}) == 47
    # The other three have words of their own.
    assert all(resolve_zone_name(state) != time_zone.ZoneAnswer() for state in ("Arizona", "Hawaii", "Washington"))


@pytest.mark.parametrize("name", ["america/new_york", "America", "America/", "../etc/passwd", "", "a\0b", "localtime"])
def test_only_the_exact_name_is_a_zone(name):
    assert not is_zone(name)
    assert find_zone(name) is None


@pytest.mark.parametrize(
    ("new", "current", "replaces"),
    [
        (GUESSED, None, True),
        (GUESSED, GUESSED, True),
        (GUESSED, CRM, False),
        (GUESSED, PERSON, False),
        (CRM, GUESSED, True),
        (CRM, CRM, True),
        (CRM, PERSON, False),
        (PERSON, CRM, True),
        (PERSON, PERSON, True),
    ],
)
def test_the_person_beats_the_crm_beats_the_number(new, current, replaces):
    assert new.may_replace(current) is replaces


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.text(max_size=90))
def test_any_text_gets_an_answer(text):
    answer = resolve_zone_name(text)
    assert answer.zone is None or is_zone(answer.zone)
