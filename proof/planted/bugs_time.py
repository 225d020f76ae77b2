"""Bugs of clocks: the zone in which a person's hours are counted, and the moment that their words mean."""

import re

from proof.invariants import Invariant
from proof.planted.bug import edited, planted

I10 = Invariant.I10

ZONE_NAMES = "ringback.domain.zone_names"

_NAMES = "domain/test_zone_names.py::"
_CORPUS = "adapters/spoken_time/test_corpus.py::"
_RESCHEDULING = "flows/business_operations/test_reschedule_call.py::"

a_fixed_offset_is_a_clock_to_call_by = edited(
    f"{ZONE_NAMES}:candidate_zones",
    old="region = region_zone(named)",
    new="region = named if of_number != () else region_zone(named)",
    aims=(I10,),
    why="The name was checked when it was accepted.",
    tests=(
        "flows/call_processing/test_claim.py::test_no_person_is_dialed_by_the_clock_of_a_fixed_offset",
        "flows/test_call_initiation.py::test_a_stored_name_that_is_no_region_is_no_clock_to_call_by",
    ),
)

an_offset_is_accepted_as_a_region = edited(
    "ringback.domain.time_zone:region_zone",
    old="region if region.startswith(_AREAS) and find_zone(region) else None",
    new="region if find_zone(region) else None",
    aims=(I10,),
    why="It is in the database of time zones.",
    tests=(
        "web/test_zone_requests.py::test_a_name_that_means_no_one_region_is_asked_for",
        f"{_NAMES}test_an_offset_or_an_unknown_name_means_no_region",
    ),
)

an_abbreviation_means_its_first_region = edited(
    f"{ZONE_NAMES}:_choice",
    old="len({clock_of(zone) for zone in zones}) == 1",
    new="len({clock_of(zone)[0] for zone in zones}) == 1",
    aims=(I10,),
    why="Both are MST.",
    tests=(f"{_NAMES}test_a_code_that_may_mean_several_regions_names_them",),
)

the_number_has_no_say_in_the_zone = edited(
    f"{ZONE_NAMES}:_by_clock",
    old="strangers or (is_abroad and not alike)",
    new="is_abroad and not alike",
    aims=(I10,),
    why="People move, and their numbers with them.",
    tests=(f"{_NAMES}test_a_code_that_may_mean_several_regions_names_them",),
)

arizona_of_windows_is_denver = edited(
    f"{ZONE_NAMES}:_windows_zone",
    old="_windows_zones().get(said)",
    new='_windows_zones().get(said.removeprefix("us "))',
    aims=(I10,),
    why="Many people put US before the name of a zone.",
    tests=(f"{_NAMES}test_a_code_that_means_one_region_is_that_region",),
)

the_zone_of_a_wish_is_the_zone_of_its_hours = edited(
    "ringback.flows.business_operations.reschedule_call:RescheduleCall.do",
    old="zones if own_zone is None else (own_zone,)",
    new="zones if moment.zone is None else (moment.zone,)",
    aims=(I10,),
    why="The person has just said it.",
    tests=(
        f"{_RESCHEDULING}test_hours_are_kept_in_every_zone_the_person_may_be_in_whatever_zone_they_name",
        f"{_RESCHEDULING}test_a_zone_that_is_not_the_persons_own_decides_the_moment_and_not_the_hours",
    ),
)

tomorrow_is_counted_in_the_zone_that_was_named = edited(
    "ringback.adapters.spoken_time:_read",
    old="(zone,) if is_own else (zone, *zones)",
    new="(zone,)",
    aims=(I10,),
    why="The whole wish is in that zone.",
    tests=(
        "adapters/spoken_time/test_reading.py"
        "::test_tomorrow_is_asked_for_where_it_is_another_day_than_in_the_zone_that_was_named",
    ),
)

a_range_is_read_as_a_clock_time = edited(
    "ringback.adapters.spoken_time.words:_without_dash",
    old="before[-1:].isdigit() and after[:1].isdigit()",
    new='before[-1:].isdigit() and after[:1].isdigit() and "m" not in after[:6]',
    aims=(I10,),
    why="Dashes are punctuation.",
    tests=(f"{_CORPUS}test_an_unclear_request_gets_a_question_or_is_past",),
)


@planted(
    "ringback.adapters.spoken_time.clocks:_YEAR",
    aims=(I10,),
    why="A year has four digits.",
    tests=(f"{_CORPUS}test_an_unclear_request_gets_a_question_or_is_past",),
)
def a_year_is_read_as_a_clock_time(right: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(right.pattern.replace(" ?", ""))
