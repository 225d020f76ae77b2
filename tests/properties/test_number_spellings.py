"""Every spelling of a number is one number: for random numbers of every country, and for any digits at all."""

from functools import lru_cache
from typing import Any

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers.phonenumberutil import ndd_prefix_for_region

from ringback.adapters.number_plan import PhoneNumbersPlan

from .depth import checked

pytestmark = pytest.mark.matrix

PLAN = PhoneNumbersPlan()
E164 = phonenumbers.PhoneNumberFormat.E164
LONGEST = 16  # the plus sign and fifteen digits
COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = tuple(phonenumbers.PhoneNumberType.values())[:-1]  # the last is UNKNOWN
DIALED_FORMS = (
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
)


@lru_cache(maxsize=1)
def examples() -> dict[str, list[Any]]:
    """The metadata's own example of each kind of number, by country."""
    found = {}
    for country in COUNTRIES:
        kinds = [phonenumbers.example_number_for_type(country, kind) for kind in KINDS]
        found[country] = [number for number in kinds if number is not None and phonenumbers.is_valid_number(number)]
    return found


@st.composite
def assigned_numbers(draw: Any) -> tuple[str, Any]:
    """A country, and a number of it whose last four digits are drawn."""
    country = draw(st.sampled_from(COUNTRIES))
    example = draw(st.sampled_from(examples()[country]))
    phone = phonenumbers.format_number(example, E164)
    digits = f"{draw(st.integers(0, 9999)):04d}"
    number = phonenumbers.parse(phone[: -len(digits)] + digits, None)
    assume(phonenumbers.is_valid_number(number) and phonenumbers.region_code_for_number(number) == country)
    # Seven digits after +1 are dialed in parts of Canada. From elsewhere they reach no phone.
    assume(number.country_code != 1 or len(phonenumbers.national_significant_number(number)) == 10)
    return country, number


def is_also_assigned(phone: str) -> bool:
    """Whether the text as it is written is another person's number."""
    read = phonenumbers.parse(phone, None)
    return phonenumbers.is_valid_number(read) and phonenumbers.format_number(read, E164) == phone


@checked(100)
@given(assigned_numbers(), st.data())
def test_every_spelling_that_is_accepted_gives_the_same_number(drawn, data):
    country, number = drawn
    phone = phonenumbers.format_number(number, E164)
    assert PLAN.canonical(phone) == phone
    code, national = str(number.country_code), phonenumbers.national_significant_number(number)
    trunk = ndd_prefix_for_region(country, True)
    for one in (f"+{code}{code}{national}", f"+{code}{trunk or 0}{national}"):
        if len(one) <= LONGEST and not is_also_assigned(one):
            assert PLAN.canonical(one) == phone
    form = data.draw(st.sampled_from(DIALED_FORMS))
    read = PLAN.read(phonenumbers.format_number(number, form), country)
    assert read == phone
    for uri in (f"sip:{phone}@carrier.example", f"tel:{phone}", f"<sip:{phone}@10.0.0.1;user=phone>", f" {phone} "):
        assert PLAN.read(uri, country) == phone


@checked(100)
@given(
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)).map(str),
    st.sampled_from(["", "0", "00", "1", "8", "9", "06", "15", "44"]),
    st.text("0123456789", min_size=3, max_size=13),
)
def test_the_form_of_any_number_is_its_own_form(code, prefix, rest):
    phone = PLAN.canonical(f"+{code}{prefix}{rest}")
    assume(phone is not None)
    assert PLAN.canonical(phone) == phone
    assert PLAN.read(phone, "US") == PLAN.read(f"sip:{phone}@host", None) == phone


@checked(60)
@given(st.text(max_size=40), st.sampled_from([*COUNTRIES, "XX", None]))
def test_any_text_is_a_number_in_its_own_form_or_is_refused(text, country):
    phone = PLAN.read(text, country)
    assert phone is None or PLAN.canonical(phone) == phone
