"""The time zone of a contact as systems write it: the region it means in the domain's words, or a question back."""

from datetime import UTC, datetime

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.web.problems import Problem
from ringback.web.request_models import read_new_call

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
PHONE = "+14155550100"


def zone_or_problem(time_zone: object, phone: str = PHONE) -> tuple[str | None, dict[str, str]]:
    contact = {"contact_id": "crm-42", "phone": phone, "time_zone": time_zone}
    body = {"contact": contact, "agent_id": "agent_1", "from_number": "+14155550199"}
    try:
        return read_new_call(body, NOW, PhoneNumbersPlan()).time_zone, {}
    except Problem as problem:
        return None, {error.pointer: error.code for error in problem.errors}


@pytest.mark.parametrize(
    ("time_zone", "phone", "zone"),
    [
        ("America/New_York", PHONE, "America/New_York"),
        ("EST", "+12125550100", "America/New_York"),
        ("EST", PHONE, "America/New_York"),
        ("MST", "+14805550100", "America/Phoenix"),
        ("MST", "+13035550100", "America/Denver"),
        ("CST6CDT", PHONE, "America/Chicago"),
        ("US/Eastern", PHONE, "America/New_York"),
        ("US Mountain Standard Time", PHONE, "America/Phoenix"),
        ("Atlantic Standard Time", PHONE, "America/Halifax"),
        (None, PHONE, None),
    ],
)
def test_a_name_that_means_one_region_is_that_region(time_zone, phone, zone):
    assert zone_or_problem(time_zone, phone) == (zone, {})


@pytest.mark.parametrize(
    ("time_zone", "phone", "code"),
    [
        ("MST", PHONE, "ambiguous_time_zone"),
        ("MST", "+19285550100", "ambiguous_time_zone"),
        ("AST", PHONE, "ambiguous_time_zone"),
        ("EST", "+18765550100", "ambiguous_time_zone"),  # a number of Jamaica, where EST holds all year
        ("Etc/GMT+5", "+12125550100", "unknown_time_zone"),
        ("GMT-5", PHONE, "unknown_time_zone"),
        ("UTC+3", PHONE, "unknown_time_zone"),
        ("UTC", PHONE, "unknown_time_zone"),
        ("CET", PHONE, "unknown_time_zone"),
        ("Eastern", PHONE, "unknown_time_zone"),
        ("", PHONE, "unknown_time_zone"),
        (7, PHONE, "wrong_type"),
    ],
)
def test_a_name_that_means_no_one_region_is_asked_for(time_zone, phone, code):
    assert zone_or_problem(time_zone, phone) == (None, {"#/contact/time_zone": code})


def test_the_regions_that_may_be_meant_are_named():
    body = {
        "contact": {"contact_id": "c", "phone": PHONE, "time_zone": "MST"},
        "agent_id": "a",
        "from_number": "+14155550199",
    }
    with pytest.raises(Problem) as refused:
        read_new_call(body, NOW, PhoneNumbersPlan())
    (error,) = refused.value.errors
    assert error.message == "Which region is meant: America/Denver or America/Phoenix?"
