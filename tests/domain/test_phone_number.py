"""A phone number is strict at the door and silent in logs."""

import pytest

from ringback.domain.phone_number import PhoneNumber, parse_e164


@pytest.mark.parametrize("text", ["+14155550100", "+4930123456", "+1234567", "+123456789012345"])
def test_an_e164_number_is_kept_as_it_is(text):
    assert parse_e164(text).e164 == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "14155550100",
        "+04155550100",
        "+123456",
        "+1234567890123456",
        "+1 415 555 0100",
        "+1-415-555-0100",
        "+14155550100\n",
        " +14155550100",
        "+1415555010٠",
        "tel:+14155550100",
    ],
)
def test_anything_else_is_refused_without_being_repeated(text):
    with pytest.raises(ValueError) as refused:
        parse_e164(text)
    digits = text.strip().lstrip("+")
    assert not digits or digits not in str(refused.value)
    assert refused.value.__cause__ is None


def test_printing_shows_the_first_and_the_last_two_digits():
    number = parse_e164("+14155550163")
    assert str(number) == "+1•••••••63"
    assert f"{number} {number!r} {[number]}" == "+1•••••••63 PhoneNumber(+1•••••••63) [PhoneNumber(+1•••••••63)]"


def test_the_length_of_a_number_is_hidden_too():
    assert len(str(parse_e164("+1234567"))) == len(str(parse_e164("+123456789012345")))


def test_equal_numbers_are_one_key():
    assert {parse_e164("+14155550100"): 1}[PhoneNumber("+14155550100")] == 1
