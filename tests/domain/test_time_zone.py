"""IANA names: which are regions, which are old names of regions, and which are no regions at all."""

from importlib.resources import files
from zoneinfo import available_timezones

import pytest

from ringback.domain import time_zone
from ringback.domain.time_zone import ZoneSource, abbreviations_of, clock_of, find_region, find_zone, region_zone

PERSON, CRM, GUESSED = ZoneSource.PERSON, ZoneSource.CRM, ZoneSource.GUESSED
AREAS = {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
#: Fixed offsets and clocks without a place. Their daylight saving is missing, or is that of no place.
NO_REGIONS = {"CET", "EET", "MET", "WET", "EST", "MST", "HST", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"} | {
    *("GMT", "GMT+0", "GMT-0", "GMT0", "Greenwich", "UCT", "UTC", "Universal", "Zulu"),
    *("localtime", "Factory", "posixrules"),
}


def reading_of(name: str) -> str:
    region = region_zone(name)
    if region is None:
        return "refused"
    return "region" if region == name else f"means {region}"


def test_every_name_of_the_database_is_a_region_or_mapped_to_one_or_refused():
    old_names = {old for names in time_zone._OLD_NAMES.values() for old in names.split()}
    for name in sorted(available_timezones()):
        area, _, place = name.partition("/")
        if place and area in AREAS:
            assert reading_of(name) == "region"
        elif name in NO_REGIONS or area == "Etc":
            assert reading_of(name) == "refused"
        else:
            assert name in old_names, f"{name}: is it a region?"
            assert reading_of(name).startswith("means ")
            assert clock_of(region_zone(name) or "") == clock_of(name)


def test_old_names_mean_what_the_database_says():
    lines = files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text().splitlines()
    links = {old: region for kind, region, old in (line.split() for line in lines if line.startswith("L "))}
    for region, names in time_zone._OLD_NAMES.items():
        for old in set(names.split()) & set(links):
            # A region may itself be a link to another place with the same clock since 1970.
            assert links[old] in (region, links.get(region)), old


@pytest.mark.parametrize("name", ["america/new_york", "America", "America/", "../etc/passwd", "", "a\0b", "localtime"])
def test_only_the_exact_name_is_a_zone(name):
    assert find_zone(name) is None
    assert region_zone(name) is None


def test_a_region_is_found_in_any_case_and_with_spaces():
    assert find_region("america/los angeles") == "America/Los_Angeles"
    assert find_region("us/eastern") == "America/New_York"
    assert find_region("est") is None
    assert find_region("etc/gmt+5") is None


def test_a_clock_is_its_offsets_in_winter_and_summer():
    assert clock_of("America/New_York") == clock_of("America/Detroit") != clock_of("America/Jamaica")
    assert clock_of("America/Phoenix") != clock_of("America/Denver")
    assert abbreviations_of(["America/Phoenix"]) == {"MST"}
    assert abbreviations_of(["America/Denver", "America/Phoenix"]) == {"MST", "MDT"}


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
