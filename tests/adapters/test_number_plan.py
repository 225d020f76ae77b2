"""The facts in a number: fictional numbers, overlays that the library gets wrong, and areas with several zones."""

import pytest

from ringback.adapters import number_plan
from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.phone_number import NumberType
from ringback.domain.time_zone import region_zone

PLAN = PhoneNumbersPlan()


@pytest.mark.parametrize(
    ("phone", "country"),
    [
        ("+14155550100", "US"),
        ("+12125550199", "US"),
        ("+14165550100", "CA"),
        ("+18765550100", "JM"),
        ("+17875550100", "PR"),
        ("+16715550100", "GU"),
        ("+18005550100", "US"),
        ("+13572345678", "US"),  # an overlay that the metadata does not know yet
        ("+4930123456", "DE"),
        ("+33612345678", "FR"),
    ],
)
def test_a_number_has_the_country_of_its_area_code(phone, country):
    assert PLAN.region(phone) == country


@pytest.mark.parametrize(
    "phone",
    [
        "",
        "+",
        "anonymous",
        "+19995550100",
        "+11115550100",
        "+80012345678",
        "+9999999999",
        "+1 415 555 0100",
        "4155550100",
    ],
)
def test_a_number_of_no_country_has_no_country(phone):
    assert PLAN.region(phone) is None
    assert PLAN.time_zones(phone) == ()


@pytest.mark.parametrize(
    ("phone", "zones"),
    [
        ("+14155550100", ("America/Los_Angeles",)),
        ("+12125550100", ("America/New_York",)),
        ("+13135550100", ("America/Detroit",)),
        ("+16025550100", ("America/Phoenix",)),
        ("+19285550100", ("America/Phoenix", "America/Denver")),
        ("+18085550100", ("Pacific/Honolulu",)),
        ("+19075550100", ("America/Anchorage", "America/Adak")),
        ("+18505550100", ("America/New_York", "America/Chicago")),
        ("+17015550100", ("America/Chicago", "America/Denver")),
        ("+12085550100", ("America/Boise", "America/Los_Angeles")),
        ("+14165550100", ("America/Toronto",)),
        ("+13065550100", ("America/Regina", "America/Edmonton")),
        ("+18765550100", ("America/Jamaica",)),
        ("+4930123456", ("Europe/Berlin",)),
    ],
)
def test_every_zone_of_the_area_is_named(phone, zones):
    assert PLAN.time_zones(phone) == zones


@pytest.mark.parametrize(
    ("overlay", "zones"),
    [
        ("364", ("America/Kentucky/Louisville", "America/Chicago")),
        ("448", ("America/New_York", "America/Chicago")),
        ("458", ("America/Los_Angeles", "America/Boise")),
        ("689", ("America/New_York",)),
        ("930", ("America/Indiana/Indianapolis", "America/Chicago")),
    ],
)
def test_an_overlay_has_the_zones_of_its_area(overlay, zones):
    assert PLAN.time_zones(f"+1{overlay}5550100") == zones


@pytest.mark.parametrize("phone", ["+18005550100", "+18882345678", "+15005550100", "+19005550100"])
def test_a_number_without_an_area_has_no_zone(phone):
    assert PLAN.time_zones(phone) == ()


def test_a_mobile_number_has_every_zone_of_its_country():
    zones = PLAN.time_zones("+61412345678")
    assert {"Australia/Sydney", "Australia/Perth"} <= set(zones)


def test_no_area_code_is_listed_twice_and_every_zone_exists():
    tables = (number_plan._UNITED_STATES, number_plan._CANADA)
    codes = [code for table in tables for listed in table.values() for code in listed.split()]
    assert len(codes) == len(set(codes))
    assert all(region_zone(zone) == zone for table in tables for zones in table for zone in zones)


@pytest.mark.parametrize(
    ("table", "countries"), [("_UNITED_STATES", {"US", "PR", "VI", "GU", "MP", "AS"}), ("_CANADA", {"CA"})]
)
def test_every_listed_area_code_is_of_its_table_s_country(table, countries):
    codes = [code for listed in getattr(number_plan, table).values() for code in listed.split()]
    assert {
        code: PLAN.region(f"+1{code}5550100") for code in codes if PLAN.region(f"+1{code}5550100") not in countries
    } == {}


@pytest.mark.parametrize(
    ("phone", "kind"),
    [
        ("+19005550100", "premium"),
        ("+19002345678", "premium"),
        ("+12129761234", "premium"),
        ("+14159761234", "premium"),
        ("+14169761234", "premium"),
        ("+18005550100", "toll_free"),
        ("+18222345678", "toll_free"),
        ("+18332345678", "toll_free"),
        ("+18442345678", "toll_free"),
        ("+18552345678", "toll_free"),
        ("+18662345678", "toll_free"),
        ("+18772345678", "toll_free"),
        ("+18882345678", "toll_free"),
        ("+15005550100", "personal"),
        ("+15212345678", "personal"),
        ("+15235551234", "personal"),
        ("+15292345678", "personal"),
        ("+15332345678", "personal"),
        ("+15442345678", "personal"),
        ("+15662345678", "personal"),
        ("+15772345678", "personal"),
        ("+15882345678", "personal"),
        ("+16222345678", "personal"),  # Canada
        ("+448712345678", "premium"),
        ("+447012345678", "personal"),
        ("+447640123456", "pager"),
        ("+448081234567", "toll_free"),
        ("+611300123456", "shared_cost"),
        ("+80012345678", "toll_free"),
    ],
)
def test_a_number_that_costs_or_belongs_to_no_line_has_a_kind(phone, kind):
    assert PLAN.number_type(phone) is NumberType(kind)


@pytest.mark.parametrize(
    "phone",
    [
        "+14155550100",
        "+14155550176",
        "+14159751234",
        "+12129771234",
        "+18769761234",  # an exchange like any other in Jamaica
        "+13572345678",
        "+14165550100",
        "+17875550100",
        "+447400123456",
        "+4930123456",
        "+443001234567",  # costs the same as a call to an area
        "",
        "anonymous",
    ],
)
def test_an_ordinary_number_has_none(phone):
    assert PLAN.number_type(phone) is None


@pytest.mark.parametrize("table", ["_UNITED_STATES", "_CANADA"])
def test_fictional_numbers_are_ordinary_in_every_area_code(table):
    codes = [code for listed in getattr(number_plan, table).values() for code in listed.split()]
    phones = [f"+1{code}555{line:04d}" for code in codes for line in (100, 107, 176, 199)]
    assert [phone for phone in phones if PLAN.number_type(phone) or PLAN.canonical(phone) != phone] == []


@pytest.mark.parametrize("code", ["900", "800", "822", "500", "523", "588"])
def test_a_code_of_a_service_belongs_to_the_united_states(code):
    """Their numbers are denied by their kind, which an operator may allow."""
    assert PLAN.region(f"+1{code}5550100") == PLAN.region(f"+1{code}2345678") == "US"


@pytest.mark.parametrize("phone", ["+17005551234", "+17105551234"])
def test_codes_of_carriers_and_of_the_government_belong_to_no_country(phone):
    assert PLAN.region(phone) is None
