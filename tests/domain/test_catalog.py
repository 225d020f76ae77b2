"""Literal catalogues in, dispositions, fields and events (or every problem) out."""

import pytest

from ringback.domain.catalog import CatalogError, FieldType, built_in_catalog, catalog_toml, parse_catalog


def problems_of(toml: str) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(toml)
    return str(caught.value).splitlines()


def test_built_in_dispositions_are_the_seven_and_two_of_them_suppress():
    dispositions = built_in_catalog().dispositions
    assert list(dispositions) == [
        "interested",
        "not_interested",
        "callback_requested",
        "converted",
        "no_decision",
        "wrong_number",
        "do_not_call",
    ]
    assert {code for code, entry in dispositions.items() if entry.suppresses} == {"wrong_number", "do_not_call"}


def test_built_in_fields_have_their_types():
    fields = built_in_catalog().fields
    assert {name: field.type for name, field in fields.items()} == {
        "first_name": FieldType.TEXT,
        "last_name": FieldType.TEXT,
        "company": FieldType.TEXT,
        "email": FieldType.EMAIL,
        "budget": FieldType.NUMBER,
        "opted_in": FieldType.BOOLEAN,
        "appointment_at": FieldType.INSTANT,
        "interest": FieldType.CHOICE,
    }
    assert fields["interest"].choices == ("low", "medium", "high")


def test_built_in_events():
    assert built_in_catalog().events == {"lead_qualified", "appointment_booked", "payment_promised"}


def test_a_given_section_replaces_the_built_in_one_and_the_others_stay():
    catalog = parse_catalog('[fields]\nplan = ["basic", "gold"]\n')
    assert list(catalog.fields) == ["plan"]
    assert catalog.dispositions == built_in_catalog().dispositions


def test_an_empty_text_is_the_built_in_catalogue():
    assert parse_catalog("") == built_in_catalog()


def test_a_custom_disposition_may_suppress():
    catalog = parse_catalog("[dispositions.deceased]\nsuppresses = true\n[dispositions.maybe]\n")
    assert catalog.dispositions["deceased"].suppresses
    assert not catalog.dispositions["maybe"].suppresses


def test_every_problem_is_listed_at_once():
    toml = """
    [dispositions.Stop]
    suppresses = "yes"
    [fields]
    age = "integer"
    plan = []
    colour = ["red", "red"]
    [events.voice_ai_call_completed]
    [events.demo_held]
    urgency = 1
    [extras]
    """
    problems = problems_of(toml)
    places = [problem.split(":")[0] for problem in problems]
    assert places == [
        "unknown section [extras]",
        "dispositions.Stop",
        "dispositions.Stop",
        "fields.age",
        "fields.plan",
        "fields.colour",
        "events.voice_ai_call_completed",
        "events.demo_held",
    ]


@pytest.mark.parametrize("name", ["voice_ai_call_started", "voice_ai_call_anything"])
def test_an_event_cannot_bear_a_lifecycle_name(name):
    assert "reserved" in problems_of(f"[events.{name}]")[0]


def test_text_that_is_not_toml_says_where():
    assert "line 2" in problems_of("[fields]\nage = \n")[0]


def test_a_section_that_is_no_table_is_a_problem():
    assert problems_of("fields = 3") == ["[fields] must be a table"]


def test_a_caller_is_told_the_first_name_unless_the_catalogue_says_otherwise():
    assert built_in_catalog().told_to_callers == ("first_name",)
    catalog = parse_catalog('[inbound]\ntell = ["first_name", "plan"]\n')
    assert catalog.told_to_callers == ("first_name", "plan")
    assert parse_catalog(catalog_toml(catalog)) == catalog
    assert parse_catalog("[inbound]\n").told_to_callers == ()


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[inbound]\nnames = []", "inbound.names: [inbound] may hold `tell` and nothing else"),
        (
            '[inbound]\ntell = "plan"',
            "inbound.tell: a list of names of fields and variables, of at most 64 characters each",
        ),
        ('[inbound]\ntell = ["a", "a"]', "inbound.tell: a name is listed twice"),
        (f"[inbound]\ntell = {[f'n{number}' for number in range(51)]}", "inbound.tell: at most 50 names are told"),
        ("inbound = 1", "[inbound] must be a table"),
    ],
)
def test_a_bad_list_of_what_callers_are_told_is_named(toml, problem):
    assert problems_of(toml) == [problem]


def test_do_not_call_always_suppresses():
    assert problems_of("[dispositions.do_not_call]") == [
        "dispositions.do_not_call: a person who must not be called is suppressed: `suppresses = true`"
    ]
