"""Names of time zones, states and cities, as systems write them and as people say them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tzlocal.windows_tz import win_tz

from ringback.domain import zone_names
from ringback.domain.places import ELSEWHERE, IN_STATES, NEEDS_ITS_STATE, STATE_CODES, ZONES_OF_STATES
from ringback.domain.time_zone import ZoneAnswer, region_zone
from ringback.domain.windows_zones import WINDOWS_ZONES
from ringback.domain.zone_names import candidate_zones, resolve_zone_code, resolve_zone_name

NEW_YORK, CHICAGO, DENVER, LOS_ANGELES = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
PHOENIX, JAMAICA, HALIFAX, PUERTO_RICO = "America/Phoenix", "America/Jamaica", "America/Halifax", "America/Puerto_Rico"


@pytest.mark.parametrize(
    ("code", "near", "zone"),
    [
        ("America/New_York", (), NEW_YORK),
        ("America/New_York", (LOS_ANGELES,), NEW_YORK),
        ("US/Eastern", (), NEW_YORK),
        ("Navajo", (), DENVER),
        ("EST", (), NEW_YORK),
        ("EST", (NEW_YORK,), NEW_YORK),
        ("EST", (LOS_ANGELES,), NEW_YORK),
        ("EDT", (), NEW_YORK),
        ("EST5EDT", (), NEW_YORK),
        ("CST6CDT", (), CHICAGO),
        ("MST7MDT", (), DENVER),
        ("PST8PDT", (), LOS_ANGELES),
        ("HST", (), "Pacific/Honolulu"),
        ("MST", (PHOENIX,), PHOENIX),
        ("MST", (DENVER,), DENVER),
        ("MST", ("America/Boise", LOS_ANGELES), DENVER),
        ("AST", (PUERTO_RICO,), PUERTO_RICO),
        ("CET", ("Europe/Berlin",), "Europe/Berlin"),
        ("IST", ("Asia/Calcutta",), "Asia/Calcutta"),
        ("US Mountain Standard Time", (), PHOENIX),
        ("US Mountain Standard Time", (DENVER,), PHOENIX),
        ("Mountain Standard Time", (), DENVER),
        ("Eastern Standard Time", (), NEW_YORK),
        ("eastern standard time", (), NEW_YORK),
        ("Atlantic Standard Time", (), HALIFAX),
        ("Eastern Standard Time (Mexico)", (), "America/Cancun"),
        ("W. Europe Standard Time", (), "Europe/Berlin"),
        ("GMT Standard Time", (), "Europe/London"),
    ],
)
def test_a_code_that_means_one_region_is_that_region(code, near, zone):
    assert resolve_zone_code(code, near) == ZoneAnswer(zone)
    assert resolve_zone_name(code, near) == ZoneAnswer(zone)


@pytest.mark.parametrize(
    ("code", "near", "candidates"),
    [
        ("MST", (), (DENVER, PHOENIX)),
        ("MST", (NEW_YORK,), (DENVER, PHOENIX)),
        ("MST", (PHOENIX, DENVER), (DENVER, PHOENIX)),
        ("AST", (), (HALIFAX, PUERTO_RICO)),
        ("CT", (), (NEW_YORK, CHICAGO)),
        # Their number says that "EST" is another clock there.
        ("EST", (JAMAICA,), (NEW_YORK, JAMAICA)),
        ("CST", ("America/Regina",), (CHICAGO, "America/Regina")),
        ("CST", ("Asia/Shanghai",), (CHICAGO, "Asia/Shanghai")),
        ("EST", ("Europe/Berlin",), (NEW_YORK,)),
        ("Mountain Standard Time", (PHOENIX,), (DENVER, PHOENIX)),
        ("Atlantic Standard Time", (PUERTO_RICO,), (HALIFAX, PUERTO_RICO)),
    ],
)
def test_a_code_that_may_mean_several_regions_names_them(code, near, candidates):
    assert resolve_zone_code(code, near) == ZoneAnswer(None, candidates)
    assert resolve_zone_name(code, near) == ZoneAnswer(None, candidates)


@pytest.mark.parametrize(
    "code",
    [
        *(
            "UTC",
            "GMT",
            "Etc/UTC",
            "Zulu",
            "UCT",
            "Greenwich",
            "Etc/GMT+5",
            "Etc/GMT-14",
            "GMT-5",
            "UTC+3",
            "UTC-05:00",
        ),
        *(
            "-05:00",
            "+0530",
            "UTC-11",
            "Dateline Standard Time",
            "CET",
            "MET",
            "localtime",
            "Factory",
            "Mars/Olympus",
            "",
        ),
    ],
)
def test_an_offset_or_an_unknown_name_means_no_region(code):
    assert resolve_zone_code(code, (NEW_YORK,)) == ZoneAnswer()
    assert resolve_zone_name(code, (NEW_YORK,)) == ZoneAnswer()


@pytest.mark.parametrize("code", ["america/new_york", "Eastern", "est", "Phoenix", "California", " EST"])
def test_a_system_writes_codes_and_a_person_says_names(code):
    assert resolve_zone_code(code) == ZoneAnswer()
    assert resolve_zone_name(code).zone is not None


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("  EUROPE/BERLIN ", "Europe/Berlin"),
        ("America/Los Angeles", LOS_ANGELES),
        ("Eastern", NEW_YORK),
        ("the Eastern time zone", NEW_YORK),
        ("I'm on Eastern time", NEW_YORK),
        ("I am in the Eastern time zone", NEW_YORK),
        ("It's Pacific", LOS_ANGELES),
        ("my time zone is Mountain", DENVER),
        ("U.S. Central Time", CHICAGO),
        ("Pacific time", LOS_ANGELES),
        ("EST/EDT", NEW_YORK),
        ("California", LOS_ANGELES),
        ("I live in California", LOS_ANGELES),
        ("new york", NEW_YORK),
        ("Washington, D.C.", NEW_YORK),
        ("Washington State", LOS_ANGELES),
        ("Arizona", PHOENIX),
        ("Hawaii", "Pacific/Honolulu"),
        ("CA", LOS_ANGELES),
        ("Alaska time", "America/Anchorage"),
        ("I'm in Phoenix", PHOENIX),
        ("Phoenix, Arizona", PHOENIX),
        ("Phoenix AZ", PHOENIX),
        ("we're in Phoenix, Arizona, right now", PHOENIX),
        ("Sedona, Arizona", PHOENIX),
        ("Window Rock, Arizona", DENVER),
        ("Indianapolis", "America/Indiana/Indianapolis"),
        ("Boise", "America/Boise"),
        ("Boise, Idaho", "America/Boise"),
        ("Coeur d'Alene, Idaho", LOS_ANGELES),
        ("El Paso, Texas", DENVER),
        ("Houston", CHICAGO),
        ("Kansas City", CHICAGO),
        ("Columbus", NEW_YORK),
        ("St. Louis", CHICAGO),
        ("Saint Paul, Minnesota", CHICAGO),
        ("Portland, Oregon", LOS_ANGELES),
        ("Portland, Maine", NEW_YORK),
        ("Springfield, Illinois", CHICAGO),
        ("Pensacola, FL", CHICAGO),
        ("Miami, Florida", NEW_YORK),
        ("Winston-Salem", NEW_YORK),
        ("Toronto", "America/Toronto"),
        ("Toronto, Canada", "America/Toronto"),
        ("Vancouver, British Columbia", "America/Vancouver"),
        ("London, Ontario", "America/Toronto"),
    ],
)
def test_a_place_or_a_clock_that_is_said_resolves(text, zone):
    assert resolve_zone_name(text) == ZoneAnswer(zone)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("Indiana", ("America/Indiana/Indianapolis", CHICAGO)),
        ("Texas", (CHICAGO, DENVER)),
        ("Florida", (NEW_YORK, CHICAGO)),
        ("Oregon", (LOS_ANGELES, "America/Boise")),
        ("Alaska", ("America/Anchorage", "America/Adak")),
        ("TN", (NEW_YORK, CHICAGO)),
        ("Washington", (NEW_YORK, LOS_ANGELES)),
        ("LA", (CHICAGO, LOS_ANGELES)),
        ("Portland", (NEW_YORK, LOS_ANGELES)),
        ("Springfield", (CHICAGO, NEW_YORK, LOS_ANGELES)),
        ("Nashville, Indiana", ("America/Indiana/Indianapolis", CHICAGO)),
    ],
)
def test_a_name_that_means_several_zones_names_them_to_choose_from(text, candidates):
    answer = resolve_zone_name(text)
    assert (answer.zone, sorted(answer.candidates)) == (None, sorted(candidates))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "time", "or", "in", "me", "ok", "x" * 5000, "I'm mobile", "I'm Sandy", "yes", "my time"),
        *("I'm not in Arizona", "not Eastern", "moving to Arizona", "I'm from Phoenix", "Eastern or Central"),
        *("Phoenix or Denver", "near Phoenix", "anywhere but Phoenix", "London", "Birmingham", "Panama City"),
    ],
)
def test_words_that_name_no_zone_resolve_to_nothing(text):
    assert resolve_zone_name(text) == ZoneAnswer()


def test_eastern_with_a_number_from_abroad_is_asked_for():
    assert resolve_zone_name("Eastern", ("Australia/Sydney",)) == ZoneAnswer(None, (NEW_YORK,))


def test_windows_names_are_those_of_the_maintained_table():
    assert {name: zone for name, zone in win_tz.items() if not zone.startswith("Etc/")} == WINDOWS_ZONES


def test_every_zone_that_can_be_answered_is_a_region():
    tables = (zone_names._ABBREVIATIONS, zone_names._CLOCKS, zone_names._PLACES)
    zones = {zone for table in tables for names in table for zone in names}
    zones |= {zone for of_state in ZONES_OF_STATES.values() for zone in of_state}
    zones |= {zone for _, zone in IN_STATES} | set(ELSEWHERE) | set(WINDOWS_ZONES.values())
    assert [zone for zone in sorted(zones) if region_zone(zone) != zone] == []


def test_the_states_and_the_cities_fit_together():
    assert len(STATE_CODES) == 51 + 12
    for state, zone in IN_STATES:
        assert len(ZONES_OF_STATES[state]) > 1 or state == "AZ", (state, zone)
    listed = {name for names in [*IN_STATES.values(), *ELSEWHERE.values()] for name in names.split("|")}
    assert set(NEEDS_ITS_STATE.split("|")) <= listed


@settings(max_examples=200, derandomize=True, database=None)
@given(st.text(max_size=90), st.sampled_from([(), (PHOENIX,), (NEW_YORK, CHICAGO), ("Asia/Shanghai",)]))
def test_any_text_gets_an_answer(text, near):
    for answer in (resolve_zone_name(text, near), resolve_zone_code(text, near)):
        assert answer.zone is None or region_zone(answer.zone) == answer.zone


@pytest.mark.parametrize(
    ("named", "of_number", "zones"),
    [
        (None, (), ()),
        (None, (CHICAGO, NEW_YORK), (CHICAGO, NEW_YORK)),
        (LOS_ANGELES, (NEW_YORK,), (LOS_ANGELES,)),
        ("US/Pacific", (NEW_YORK,), (LOS_ANGELES,)),
        ("EST", (NEW_YORK,), (NEW_YORK,)),
        ("EST", (CHICAGO,), (CHICAGO, NEW_YORK)),
        ("MST", (), (DENVER, PHOENIX)),
        ("Etc/GMT+5", (CHICAGO,), (CHICAGO,)),
        ("Etc/GMT+5", (), ()),
    ],
)
def test_the_zones_to_call_by_are_the_named_region_or_else_all_that_number_and_name_may_mean(named, of_number, zones):
    assert candidate_zones(named, of_number) == zones
