"""Any JSON is accepted in a form that the database can hold, or refused: never a crash, never an echo."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.web.problems import Problem
from ringback.web.request_models import LiftRequest, SuppressionRequest, read_new_call
from ringback.web.strict_route import parse_json

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
PLAN = PhoneNumbersPlan()
GOOD = {
    "contact": {"contact_id": "crm-42", "phone": "+14155550100", "time_zone": "America/Los_Angeles"},
    "agent_id": "agent_1",
    "from_number": "+14155550199",
    "variables": {"a": 1},
    "metadata": {"b": None},
    "not_before": "2026-12-01T18:00:00Z",
    "expires_at": "2026-12-05T00:00:00Z",
    "retry": {"max_attempts": 3, "delay_s": [60], "on": ["busy"]},
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["+14155550100", "2026-12-02T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]),
)
KEYS = st.one_of(st.sampled_from([*GOOD, *GOOD["contact"], *GOOD["retry"], "fields"]), st.text(max_size=10))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)


def refusal_of(body: bytes, read: Callable[[Any], Any]) -> Problem | None:
    try:
        taken = read(parse_json(body))
    except Problem as problem:
        return problem
    msgspec.json.encode(taken.model_dump() if isinstance(taken, BaseModel) else taken)
    return None


def taken_or_refused(body: bytes) -> None:
    readers = (
        lambda value: read_new_call(value, NOW, PLAN),
        lambda value: SuppressionRequest.read(value, PLAN),
        LiftRequest.read,
    )
    for read in readers:
        problem = refusal_of(body, read)
        if problem is not None:
            assert 400 <= problem.status < 500
            assert "4155550" not in json.dumps([problem.detail, *(str(error) for error in problem.errors)])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(changes=st.dictionaries(st.sampled_from([*GOOD, "else"]), ANYTHING, max_size=3))
@example(changes={"metadata": {"n": 10**400}})
@example(changes={"contact": {"contact_id": "\ud800", "phone": "+14155550100"}})
@example(changes={"+14155550100": {"+14155550100": 1}})
def test_a_good_body_with_anything_changed_is_taken_or_refused(changes):
    taken_or_refused(json.dumps({**GOOD, **changes}).encode())


@settings(max_examples=100, derandomize=True, deadline=None)
@given(body=st.one_of(st.binary(max_size=60), ANYTHING.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_taken_or_refused(body):
    taken_or_refused(body)
