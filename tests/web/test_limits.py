"""How much may be handed in about a person, and by which id and at which time: a 422 that names the place, or taken."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.web.problems import Problem
from ringback.web.request_models import SuppressionRequest, read_new_call

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
PHONE = "+14155550100"
PLAN = PhoneNumbersPlan()


def body(**changes: Any) -> dict[str, Any]:
    contact = {"contact_id": "crm-42", "phone": PHONE}
    return {"contact": contact, "agent_id": "agent_1", "from_number": "+14155550199", **changes}


def contact(**changes: Any) -> dict[str, Any]:
    return {"contact_id": "crm-42", "phone": PHONE, **changes}


def problems_of(read: Any, *given: Any) -> dict[str, str]:
    with pytest.raises(Problem) as refused:
        read(*given)
    assert refused.value.status == 422
    return {error.pointer: error.code for error in refused.value.errors}


@pytest.mark.parametrize(
    ("field", "value", "pointer", "code"),
    [
        ("contact", contact(fields={"big": "x" * 16_384}), "#/contact/fields", "too_large"),
        ("contact", contact(fields={f"f{n}": n for n in range(101)}), "#/contact/fields", "too_many"),
        ("contact", contact(fields={"": 1}), "#/contact/fields/", "bad_name"),
        ("contact", contact(fields={"a\u200bb": 1}), "#/contact/fields/a\u200bb", "bad_characters"),
        ("variables", {"v": "x" * 8001}, "#/variables/v", "too_long"),
        ("variables", {f"v{n}": "x" * 7000 for n in range(5)}, "#/variables", "too_large"),
        ("variables", {f"v{n}": n for n in range(101)}, "#/variables", "too_many"),
        ("variables", {"v" * 65: 1}, f"#/variables/{'v' * 64}…", "bad_name"),
        ("metadata", {"much": "x" * 50_000}, "#/metadata", "too_large"),
        ("metadata", {f"m{n}": n for n in range(101)}, "#/metadata", "too_many"),
    ],
)
def test_what_is_too_much_is_named_by_pointer_and_code(field: str, value: Any, pointer: str, code: str) -> None:
    assert problems_of(read_new_call, body(**{field: value}), NOW, PLAN) == {pointer: code}


def test_what_is_just_within_the_limits_is_taken() -> None:
    fields = {f"f{n}": "x" * 100 for n in range(100)}
    variables = {f"v{n}": "x" * 300 for n in range(99)} | {"v" * 64: "y"}
    taken = read_new_call(body(contact=contact(fields=fields), variables=variables), NOW, PLAN)
    assert (taken.fields, taken.variables) == (fields, variables)


@pytest.mark.parametrize("contact_id", [".", "..", "crm/42", "/", "crm\\42", "../calls"])
def test_an_id_that_no_path_can_name_is_refused(contact_id: str) -> None:
    asked = body(contact=contact(contact_id=contact_id))
    assert problems_of(read_new_call, asked, NOW, PLAN) == {"#/contact/contact_id": "not_a_path_segment"}


UNSEEN = [
    "crm\u200b42",
    "crm\u00a042",
    "\u3164",
    "crm\u202e42",
    "crm\t42",
    "crm-42\u2060",
    "\ufeffcrm-42",
    "crm\u00ad42",
]


@pytest.mark.parametrize("contact_id", UNSEEN)
def test_an_id_with_a_character_that_shows_nothing_is_refused_to_calls_and_suppressions(contact_id: str) -> None:
    asked = body(contact=contact(contact_id=contact_id))
    assert problems_of(read_new_call, asked, NOW, PLAN) == {"#/contact/contact_id": "bad_characters"}
    suppressed = {"contact_id": contact_id, "reason": "asked"}
    assert problems_of(SuppressionRequest.read, suppressed, PLAN) == {"#/contact_id": "bad_characters"}


@pytest.mark.parametrize(
    "contact_id", ["crm-42", "…", "Ada Lovelace", "ada@example.com", "crm:42", "Zoë", "東京", "..."]
)
def test_every_other_id_is_taken(contact_id: str) -> None:
    assert read_new_call(body(contact=contact(contact_id=contact_id)), NOW, PLAN).contact_id == contact_id


def test_a_contact_that_was_taken_before_can_still_be_suppressed() -> None:
    assert SuppressionRequest.read({"contact_id": "crm/42", "reason": "asked"}, PLAN).contact_id == "crm/42"


@pytest.mark.parametrize(
    "text", ["2026-W49-2T15:00:00Z", "2026-12-02T15Z", "2026-12-02T15:00:00+0000", "0001-01-01T00:00:00Z"]
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    assert problems_of(read_new_call, body(not_before=text), NOW, PLAN) == {"#/not_before": "not_a_time"}


def test_a_time_may_be_in_lower_case() -> None:
    assert read_new_call(body(not_before="2026-12-02t15:00:00z"), NOW, PLAN).not_before == datetime(
        2026, 12, 2, 15, tzinfo=UTC
    )
