"""Trace contexts follow from ids, and a broken one harms nothing."""

import json

import pytest

from ringback import tracing
from ringback.tracing import AttemptIds, SpanKind, TraceContext
from tests.recorded_spans import recorded_spans

CALL, ATTEMPT = "01a2328c-8680-7000-8000-000003000001", "01a2328c-8680-7000-8000-000003000003"
FIRST, SECOND = AttemptIds(ATTEMPT, 1), AttemptIds(ATTEMPT, 2)
EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BROKEN = [
    None,
    "",
    17,
    b"00",
    "00-1",
    EXAMPLE.upper(),
    f"{EXAMPLE}-more",
    f" {EXAMPLE}",
    f"01{EXAMPLE[2:]}",
    f"00-{'0' * 32}-00f067aa0ba902b7-01",
    f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    "x" * 100_000,
]


@pytest.fixture
def recorded():
    with recorded_spans() as begun:
        yield begun


def test_a_context_is_written_and_read_as_w3c_says():
    context = tracing.read_traceparent(EXAMPLE)
    assert context == TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert str(context) == EXAMPLE
    assert tracing.read_traceparent(str(tracing.of_call(CALL))) == tracing.of_call(CALL)


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text)[:20])
def test_a_broken_traceparent_is_none(text):
    assert tracing.read_traceparent(text) is None


def test_the_first_attempt_is_in_the_trace_of_its_call_and_a_later_one_has_its_own():
    call, first, second = tracing.of_call(CALL), tracing.of_attempt(CALL, FIRST), tracing.of_attempt(CALL, SECOND)
    assert first.trace_id == call.trace_id != second.trace_id
    assert first.span_id == second.span_id != call.span_id


def test_when_off_nothing_is_added_and_nothing_is_recorded():
    assert (tracing.attributes_of(CALL), tracing.marks_of(CALL, FIRST), tracing.now_ns()) == ({}, {}, 0)
    for span in (
        tracing.span("x", CALL, FIRST, follows=EXAMPLE),
        tracing.span_of_call("x", CALL, caused_by=EXAMPLE, began_ns=1),
        tracing.span_of_attempt("x", CALL, FIRST, follows=EXAMPLE, began_ns=1),
        tracing.span_of_webhook("x", b"{}", began_ns=1),
        tracing.span_of_event("x", "e-1", {"data": {"call_id": CALL}}),
    ):
        with span as entered:
            entered.note(one=1)
        assert entered.carried() == {}


def test_a_span_follows_the_carried_context_of_its_own_trace_and_no_other(recorded):
    call = tracing.of_call(CALL)
    carried = TraceContext(call.trace_id, "00f067aa0ba902b7")
    for follows in (str(carried), EXAMPLE, *BROKEN):
        tracing.span("x", CALL, FIRST, follows=follows)
    attempt = tracing.of_attempt(CALL, FIRST)
    assert [span.new.parent_id for span in recorded] == [carried.span_id, *[attempt.span_id] * (1 + len(BROKEN))]
    assert {span.new.trace_id for span in recorded} == {call.trace_id}


def test_a_root_links_to_its_caller_and_a_later_attempt_to_its_call(recorded):
    tracing.span_of_call("x", CALL, caused_by=EXAMPLE, began_ns=5)
    tracing.span_of_call("x", CALL, caused_by="broken", began_ns=0)
    tracing.span_of_attempt("x", CALL, FIRST, follows=None, began_ns=0)
    tracing.span_of_attempt("x", CALL, SECOND, follows=EXAMPLE, began_ns=0)
    root, broken, first, second = [span.new for span in recorded]
    call = tracing.of_call(CALL)
    assert (root.span_id, root.parent_id, root.link, root.began_ns) == (
        call.span_id,
        None,
        tracing.read_traceparent(EXAMPLE),
        5,
    )
    assert (broken.link, broken.began_ns) == (None, None)
    assert (first.trace_id, first.parent_id, first.link) == (call.trace_id, call.span_id, None)
    assert (second.trace_id, second.parent_id, second.link) == (
        tracing.of_attempt(CALL, SECOND).trace_id,
        None,
        call,
    )


def test_a_webhook_follows_the_context_in_its_metadata_and_no_text_of_the_talk(recorded):
    marks = tracing.marks_of(CALL, FIRST)
    said = json.dumps({tracing.METADATA_KEY: EXAMPLE})
    for separators in ((",", ":"), (", ", ": ")):
        body = json.dumps({"transcript": said, "call": {"metadata": marks}}, separators=separators)
        tracing.span_of_webhook("x", body.encode(), began_ns=0)
    tracing.span_of_webhook("x", json.dumps({"transcript": said}).encode(), began_ns=0)
    tracing.span_of_webhook("x", b'{"ringback_traceparent": "00-1"}', began_ns=0)
    attempt = tracing.of_attempt(CALL, FIRST)
    assert [(span.new.trace_id, span.new.parent_id) for span in recorded] == [(attempt.trace_id, attempt.span_id)] * 2
    assert recorded[0].new.kind is SpanKind.SERVER


def test_an_event_is_below_its_attempt_or_its_call_and_another_versions_has_no_span(recorded):
    for data in ({"call_id": CALL, "attempt_id": ATTEMPT, "attempt": 2}, {"call_id": CALL, "attempt_id": None}):
        tracing.span_of_event("x", "e-1", {"type": "voice_ai_call_failed", "data": data})
    for event in ({}, {"data": None}, {"data": []}, {"data": {}}, {"data": {"call_id": 7}}):
        tracing.span_of_event("x", "e-1", event)
    parents = [(span.new.trace_id, span.new.parent_id) for span in recorded]
    attempt, call = tracing.of_attempt(CALL, SECOND), tracing.of_call(CALL)
    assert parents == [(attempt.trace_id, attempt.span_id), (call.trace_id, call.span_id)]
