"""Bugs of clocks: in which zone a person's hours are counted, and which moment their words mean."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I10 = Invariant.I10

SPOKEN = "adapters/spoken_time/"
NAMES = "domain/zone_names.py"

_NAMES = "domain/test_zone_names.py::"
_CORPUS = "adapters/spoken_time/test_corpus.py::"

BUGS = (
    TextPatch(
        name="a_fixed_offset_is_a_clock_to_call_by",
        aims=(I10,),
        file="domain/zone_names.py",
        old="    region = region_zone(named)\n",
        new="    region = named if of_number != () else region_zone(named)\n",
        why="The name was checked when it was accepted.",
        tests=(
            "flows/dialing/test_claim.py::test_nobody_is_dialed_by_the_clock_of_a_fixed_offset",
            "flows/test_call_initiation.py::test_a_stored_name_that_is_no_region_is_no_clock_to_call_by",
        ),
    ),
    TextPatch(
        name="an_offset_is_accepted_as_a_region",
        aims=(I10,),
        file="domain/time_zone.py",
        old="    return region if region.startswith(_AREAS) and find_zone(region) else None\n",
        new="    return region if find_zone(region) else None\n",
        why="It is in the database of time zones.",
        tests=(
            "web/test_zone_requests.py::test_a_name_that_means_no_one_region_is_asked_for",
            f"{_NAMES}test_an_offset_or_an_unknown_name_means_no_region",
        ),
    ),
    TextPatch(
        name="an_abbreviation_means_its_first_region",
        aims=(I10,),
        file=NAMES,
        old="    if len({clock_of(zone) for zone in zones}) == 1:\n        return ZoneAnswer(zones[0])\n",
        new="    if len({clock_of(zone)[0] for zone in zones}) == 1:\n        return ZoneAnswer(zones[0])\n",
        why="Both are MST.",
        tests=(f"{_NAMES}test_a_code_that_may_mean_several_regions_names_them",),
    ),
    TextPatch(
        name="the_number_has_no_say_in_the_zone",
        aims=(I10,),
        file=NAMES,
        old="    if strangers or (is_abroad and not alike):\n",
        new="    if is_abroad and not alike:\n",
        why="People move, and their numbers with them.",
        tests=(f"{_NAMES}test_a_code_that_may_mean_several_regions_names_them",),
    ),
    TextPatch(
        name="arizona_of_windows_is_denver",
        aims=(I10,),
        file=NAMES,
        old="    zone = _windows_zones().get(said)\n",
        new='    zone = _windows_zones().get(said.removeprefix("us "))\n',
        why="Many people put US before the name of a zone.",
        tests=(f"{_NAMES}test_a_code_that_means_one_region_is_that_region",),
    ),
    TextPatch(
        name="the_zone_of_a_wish_is_the_zone_of_its_hours",
        aims=(I10,),
        file="flows/business_operations/reschedule_call.py",
        old="            zones=zones if own_zone is None else (own_zone,),\n",
        new="            zones=zones if moment.zone is None else (moment.zone,),\n",
        why="The person has just said it.",
        tests=(
            "flows/business_operations/test_reschedule_call.py"
            "::test_hours_are_kept_in_every_zone_the_person_may_be_in_whatever_zone_they_name",
            "flows/business_operations/test_reschedule_call.py"
            "::test_a_zone_that_is_not_the_persons_own_decides_the_moment_and_not_the_hours",
        ),
    ),
    TextPatch(
        name="tomorrow_is_counted_in_the_zone_that_was_named",
        aims=(I10,),
        file=f"{SPOKEN}__init__.py",
        old="    places = (zone,) if is_own else (zone, *zones)\n",
        new="    places = (zone,)\n",
        why="The whole wish is in that zone.",
        tests=(
            "adapters/spoken_time/test_reading.py"
            "::test_tomorrow_is_asked_for_where_it_is_another_day_than_in_the_zone_that_was_named",
        ),
    ),
    TextPatch(
        name="a_range_is_read_as_a_clock_time",
        aims=(I10,),
        file=f"{SPOKEN}words.py",
        old='    return "-" if before[-1:].isdigit() and after[:1].isdigit() else " "\n',
        new='    return "-" if before[-1:].isdigit() and after[:1].isdigit() and "m" not in after[:6] else " "\n',
        why="Dashes are punctuation.",
        tests=(f"{_CORPUS}test_an_unclear_request_gets_a_question_or_is_past",),
    ),
    TextPatch(
        name="a_year_is_read_as_a_clock_time",
        aims=(I10,),
        file=f"{SPOKEN}clocks.py",
        old='_YEAR = re.compile(r"(?:19|20|21) ?\\d\\d")\n',
        new='_YEAR = re.compile(r"(?:19|20|21)\\d\\d")\n',
        why="A year has four digits.",
        tests=(f"{_CORPUS}test_an_unclear_request_gets_a_question_or_is_past",),
    ),
)
