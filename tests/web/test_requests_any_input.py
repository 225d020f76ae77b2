"""Any JSON is accepted in a form that the database can hold, or refused: never a crash, never an echo."""

import json
import math
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.plain_text import has_unseen, is_unseen
from ringback.domain.storable import MAX_DEPTH
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
KEYS = st.one_of(
    st.sampled_from([*GOOD, *GOOD["contact"], *GOOD["retry"], "rules", "voicemail", "fields"]), st.text(max_size=10)
)
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


@settings(max_examples=150, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from([*GOOD, "else"]), ANYTHING, max_size=3))
@example(changes={"metadata": {"n": 10**400}})
@example(changes={"contact": {"contact_id": "\ud800", "phone": "+14155550100"}})
@example(changes={"+14155550100": {"+14155550100": 1}})
def test_a_good_body_with_anything_changed_is_taken_or_refused(changes):
    taken_or_refused(json.dumps({**GOOD, **changes}).encode())


@settings(max_examples=100, derandomize=True)
@given(body=st.one_of(st.binary(max_size=60), ANYTHING.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_taken_or_refused(body):
    taken_or_refused(body)


def is_fit(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth < MAX_DEPTH and all(is_fit(item, depth + 1) for item in inner)
    if isinstance(value, str):
        return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or -(2**63) <= value < 2**64


def read_slowly(body: bytes) -> Any:
    """Return the body as the standard library reads it. Raises ValueError unless each value in it is fit."""

    def reject(name: str) -> None:
        raise ValueError(name)

    value = json.loads(body.decode(), parse_constant=reject)
    if not is_fit(value):
        raise ValueError
    return value


def nested(depth: int, inner: bytes = b"1") -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + inner + b"]" * (depth % 2) + b"]}" * (depth // 2)


@settings(max_examples=200, derandomize=True)
@given(body=st.one_of(st.binary(max_size=30), ANYTHING.map(lambda value: json.dumps(value).encode())))
@example(body=b'"\\u0000"')
@example(body=b'"a\x00b"')
@example(body=b'"\x1f"')
@example(body=b'"\\\\u0000"')
@example(body=b'"\\ud800"')
@example(body=b'"\\udc00\\ud800"')
@example(body=b'"\\ud83d\\ude00"')
@example(body=b'"\xed\xa0\x80"')
@example(body=b"NaN")
@example(body=b"-Infinity")
@example(body=b"1e999")
@example(body=b"-0")
@example(body=b"-0.0")
@example(body=b"1E5")
@example(body=b"01")
@example(body=b"\xef\xbb\xbf1")
@example(body=b'{"a":1,"a":2}')
@example(body=str(2**63).encode())
@example(body=str(2**64 - 1).encode())
@example(body=str(2**64).encode())
@example(body=str(-(2**63)).encode())
@example(body=str(-(2**63) - 1).encode())
@example(body=b'{"call_%020d": "%040d", "number":%d}' % (1, 2, 2**64))
@example(body=b'{"call_%020d": "%040d", "number": 1.%020d}' % (1, 2, 3))
@example(body=b'"number:%d"' % 2**64)
@example(body=b"9" * 4400)
@example(body=nested(MAX_DEPTH))
@example(body=nested(MAX_DEPTH + 1))
@example(body=nested(MAX_DEPTH + 1, b""))
@example(body=nested(MAX_DEPTH, b'"{{{{"'))
@example(body=nested(100_000))
def test_a_body_means_what_the_standard_library_reads_in_it(body):
    try:
        expected = read_slowly(body)
    except (ValueError, RecursionError):
        with pytest.raises(Problem) as refused:
            parse_json(body)
        assert refused.value.status == 422
    else:
        assert repr(parse_json(body)) == repr(expected)


def test_what_is_unseen_is_what_unicode_says():
    hidden = {"Cc", "Cf", "Co", "Cn", "Zs", "Zl", "Zp"}
    drawn_as_nothing = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, 0xFFA0}
    drawn_as_nothing |= set(range(0xFE00, 0xFE10))
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        char = chr(code)
        is_hidden = unicodedata.category(char) in hidden or code in drawn_as_nothing
        assert is_unseen(char) == is_hidden
        assert has_unseen(f"a{char}b") == (is_hidden and char != " ")
    assert (is_unseen("\ud800"), has_unseen("\ud800")) == (False, True)
