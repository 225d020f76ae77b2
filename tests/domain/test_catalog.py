"""Literal catalogues in, dispositions, fields and events (or every problem) out."""

from dataclasses import replace

import pytest

from ringback.domain.catalog import (
    TOOLS,
    CatalogError,
    CustomEventType,
    FieldType,
    ToolSpeech,
    WritableField,
    built_in_catalog,
    catalog_toml,
    parse_catalog,
)


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
    assert set(built_in_catalog().events) == {"lead_qualified", "appointment_booked", "payment_promised"}


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


def test_every_name_of_the_built_in_catalogue_is_described_for_a_model():
    catalog = built_in_catalog()
    members = [member for event in catalog.events.values() for member in event.data.values()]
    named = [*catalog.dispositions.values(), *catalog.fields.values(), *catalog.events.values(), *members]
    assert [one for one in named if not one.description] == []
    assert [event.name for event in catalog.events.values() if not event.data] == []


def test_a_field_is_a_type_choices_or_a_table_of_either():
    toml = """
    [fields]
    seats = "number"
    rooms = { type = "number", description = "How many rooms." }
    plan = ["basic", "gold"]
    tier = { choices = ["basic", "gold"], description = "The tier." }
    """
    assert parse_catalog(toml).fields == {
        "seats": WritableField("seats", FieldType.NUMBER),
        "rooms": WritableField("rooms", FieldType.NUMBER, description="How many rooms."),
        "plan": WritableField("plan", FieldType.CHOICE, ("basic", "gold")),
        "tier": WritableField("tier", FieldType.CHOICE, ("basic", "gold"), "The tier."),
    }


def test_an_event_declares_its_data_and_then_takes_no_other_unless_it_says_so():
    toml = """
    [events.paid]
    description = "The person paid."
    [events.paid.data]
    amount = { type = "number", required = true }
    [events.open]
    more_data = true
    [events.open.data]
    amount = "number"
    [events.free]
    """
    amount = WritableField("amount", FieldType.NUMBER)
    assert parse_catalog(toml).events == {
        "paid": CustomEventType(
            "paid", "The person paid.", {"amount": replace(amount, required=True)}, more_data=False
        ),
        "open": CustomEventType("open", "", {"amount": amount}, more_data=True),
        "free": CustomEventType("free", more_data=True),
    }
    assert parse_catalog(catalog_toml(parse_catalog(toml))) == parse_catalog(toml)


def test_notes_and_events_are_silent_unless_the_catalogue_says_otherwise():
    silent = ToolSpeech(speak_during_execution=False, speak_after_execution=False)
    filing = {"note_writeback": silent, "send_abt_event": silent}
    assert built_in_catalog().tools == {name: ToolSpeech() for name in TOOLS} | filing
    toml = """
    [tools.note_writeback]
    speak_during_execution = true
    [tools.set_disposition]
    speak_after_execution = false
    """
    catalog = parse_catalog(toml)
    mine = {"note_writeback": replace(silent, speak_during_execution=True), "set_disposition": silent}
    assert catalog.tools == built_in_catalog().tools | mine
    assert parse_catalog(catalog_toml(catalog)) == catalog


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (
            '[fields]\na = { type = "text", size = 3 }',
            "fields.a: a field is a table that may hold `type` and `choices` and `description` and nothing else",
        ),
        ('[fields]\na = { type = "text", choices = ["b"] }', "fields.a: a field has either a `type` or `choices`"),
        ('[fields]\na = { description = "b" }', "fields.a: a field has either a `type` or `choices`"),
        ('[fields]\na = { choices = "b" }', "fields.a: `choices` is a list of words, and `type` a single word"),
        ('[fields]\na = { type = ["b"] }', "fields.a: `choices` is a list of words, and `type` a single word"),
        (
            '[fields]\na = { type = "int" }',
            "fields.a: a type is one of text, email, number, boolean, instant, or a list of choices",
        ),
        (
            '[fields]\na = { type = "text", description = 3 }',
            "fields.a: `description` is one line of at most 300 characters",
        ),
        ('[events.e]\ndescription = "a\\nb"', "events.e: `description` is one line of at most 300 characters"),
        (
            f'[dispositions.d]\ndescription = "{"x" * 301}"',
            "dispositions.d: `description` is one line of at most 300 characters",
        ),
        ("[events.e]\nmore_data = 1", "events.e: `more_data` is true or false"),
        ("[events.e]\ndata = 1", "events.e: `data` is a table of members, each written like a field"),
        (
            '[events.e.data]\nCount = "number"',
            "events.e.data.Count: a name is lower-case letters, digits and underscores, at "
            "most 64, and begins with a letter",
        ),
        ('[events.e.data]\nsequence = "number"', "events.e.data.sequence: every event has this member"),
        ('[events.e.data]\na = { type = "text", required = 1 }', "events.e.data.a: `required` is true or false"),
        ("[tools.call_analysed]", f"tools.call_analysed: an agent's function is one of {', '.join(TOOLS)}"),
        (
            "[tools.note_writeback]\nspeak_after_execution = 1",
            "tools.note_writeback: `speak_after_execution` is true or false",
        ),
        (
            "[tools.note_writeback]\nvoice = 1",
            "tools.note_writeback: a function's speech is a table that may hold "
            "`speak_during_execution` and `speak_after_execution` and nothing else",
        ),
    ],
)
def test_a_wrong_option_is_named_with_what_is_right(toml, problem):
    assert problems_of(toml) == [problem]


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
