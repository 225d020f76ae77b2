"""A model's spelling of numbers, yes and no, and choices: what is read, and what has two readings and is not."""

import pytest

from ringback.flows.business_operations.coercion import coerced

NUMBER, BOOLEAN, CHOICE = (
    {"type": "number"},
    {"type": "boolean"},
    {"type": "string", "enum": ["low", "very_high", "high"]},
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2000", 2000),
        (" 2000 ", 2000),
        ("0", 0),
        ("-5", -5),
        ("$2,000", 2000),
        ("$ 2000", 2000),
        ("2,000", 2000),
        ("1,234,567", 1234567),
        ("12.5", 12.5),
        ("0.25", 0.25),
        ("$1,234.567", 1234.567),
    ],
)
def test_a_number_in_words_of_digits_is_read(text, number):
    read = coerced(text, NUMBER)
    assert (read, type(read)) == (number, type(number))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "two thousand",
            "2k",
            "2 000",
            "about 2000",
            "2000 or 3000",
            "2000-3000",
            "> 2000",
            "2000+",
            "2000 dollars",
        ),
        *("2.000", "$2.000", "€2,000", "20,00", "2,00", "1,2,3", "12,3456", ",5", "2000,", "2000.", ".5", "1.2.3"),
        *(
            "007",
            "00",
            "1e3",
            "0x10",
            "50%",
            "+2000",
            "--5",
            "$",
            "12/31",
            "10:30",
            "٢٠٠٠",
            "²",
            "NaN",
            "Infinity",
            "true",
        ),
    ],
)
def test_a_number_with_two_readings_or_more_words_is_not(text):
    assert coerced(text, NUMBER) == text


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("True", True), ("yes", True), ("Yes.", True), ("false", False), ("NO", False)]
)
def test_yes_and_no_are_read(text, meant):
    assert coerced(text, BOOLEAN) is meant


@pytest.mark.parametrize(
    "text", ["", "sure", "maybe", "not yet", "yes, but later", "no idea", "1", "0", "y", "on", "nope", "yes and no"]
)
def test_another_word_is_neither_yes_nor_no(text):
    assert coerced(text, BOOLEAN) == text


@pytest.mark.parametrize(
    ("text", "choice"),
    [("low", "low"), ("Low", "low"), (" HIGH. ", "high"), ("very high", "very_high"), ("Very-High", "very_high")],
)
def test_a_choice_is_read_in_any_case_and_with_blanks_or_hyphens(text, choice):
    assert coerced(text, CHOICE) == choice


@pytest.mark.parametrize("text", ["", "-", "highest", "quite high", "not low", "medium", "l o"])
def test_a_word_that_is_no_choice_stays(text):
    assert coerced(text, CHOICE) == text


def test_a_word_that_two_choices_spell_is_left_alone():
    twins = {"type": "string", "enum": ["a_b", "ab", "c"]}
    assert [coerced(text, twins) for text in ("A-B", "ab", "a_b", "C")] == ["A-B", "ab", "a_b", "c"]


@pytest.mark.parametrize("value", [1, 0, 1.0, None, [], ["yes"], {"a": 1}, True])
@pytest.mark.parametrize("declared", [NUMBER, BOOLEAN, CHOICE, {"type": "string"}, {}])
def test_a_value_that_is_no_text_stays_as_it_is(value, declared):
    assert coerced(value, declared) is value


@pytest.mark.parametrize("text", ["2000", "yes", "$5"])
def test_a_text_stays_a_text_where_a_text_is_wanted(text):
    assert coerced(text, {"type": "string", "maxLength": 10}) == text


async def test_an_agents_spelling_is_written_as_its_value_and_a_systems_is_refused(stack):
    talk = await stack.talk()
    told = {"budget": "$2,000", "opted_in": "Yes", "interest": "High", "company": "2000"}
    reply = await stack.tool(talk, "field_writeback", {"fields": told})
    assert reply.result["written"] == {"budget": 2000, "opted_in": True, "interest": "high", "company": "2000"}
    del told["company"]
    refused = await stack.ask("field_writeback", {"fields": told}, call_id=talk.call_id)
    assert (refused.code, set(refused.result["rejected"])) == ("nothing_written", {"budget", "opted_in", "interest"})


def test_the_type_of_an_event_and_a_disposition_are_read_in_any_spelling(stack_without_database):
    rehearse = stack_without_database.operations.rehearse
    assert rehearse("send_abt_event", {"type": "Lead qualified"}).result["type"] == "lead_qualified"
    assert rehearse("set_disposition", {"code": "Not Interested"}).result["code"] == "not_interested"


@pytest.mark.parametrize("text", ["9" * 5000, "1" + ",000" * 3000, "1." + "0" * 5000, "-" * 5000])
def test_no_number_is_too_long_to_be_refused(text, stack_without_database):
    assert coerced(text, NUMBER) == text
    reply = stack_without_database.operations.rehearse("field_writeback", {"fields": {"budget": text}})
    assert (reply.ok, reply.code) == (False, "nothing_written")
