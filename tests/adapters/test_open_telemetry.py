"""Spans as a collector receives them."""

import sys
import time

import pytest

from ringback import tracing
from ringback.adapters.open_telemetry import EXPORT_TIMEOUT_S, OpenTelemetryTracer
from ringback.adapters.traces import traces
from ringback.domain.errors import StartRefused
from ringback.tracing import AttemptIds
from tests.stories.otlp_receiver import otlp_receiver

CALL, ATTEMPT = "01a2328c-8680-7000-8000-000003000001", AttemptIds("01a2328c-8680-7000-8000-000003000003", 1)


def test_spans_arrive_with_their_ids_facts_and_process():
    with otlp_receiver() as receiver:
        with traces(receiver.url, "call-processor"):
            began_ns = tracing.now_ns() - 5_000_000_000
            with tracing.span_of_attempt("attempt.dial", CALL, ATTEMPT, follows=None, began_ns=began_ns):
                with tracing.span("answer.record", CALL, ATTEMPT) as inner:
                    inner.note(answer="placed", cause=None)
        received = {span.name: span for span in receiver.spans()}
    dial, record = received["attempt.dial"], received["answer.record"]
    attempt, call = tracing.of_attempt(CALL, ATTEMPT), tracing.of_call(CALL)
    assert (dial.trace_id, dial.span_id, dial.parent_id) == (call.trace_id, attempt.span_id, call.span_id)
    assert (record.parent_id, record.process) == (attempt.span_id, "call-processor")
    assert (dial.began_ns, dial.ended_ns - dial.began_ns >= 5_000_000_000) == (began_ns, True)
    ids = {"ringback.call_id": CALL, "ringback.attempt_id": ATTEMPT.attempt_id, "ringback.attempt_number": "1"}
    assert record.facts == ids | {"ringback.answer": "placed"}
    assert tracing.now_ns() == 0  # off again


def test_an_error_is_recorded_by_its_type_and_never_by_its_text():
    with otlp_receiver() as receiver:
        with traces(receiver.url, "up"), pytest.raises(ValueError), tracing.span("x", CALL):
            raise ValueError("Ada has +14155550100")
        [span] = receiver.spans()
        assert span.facts["error.type"] == "ValueError"
        assert not any(b"Ada" in body or b"4155550100" in body for body in receiver.bodies)


def test_a_sampler_by_trace_id_keeps_or_drops_whole_traces(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    calls = [f"01a2328c-8680-7000-8000-{number:012d}" for number in range(200)]
    kept = []
    for name in ("internal-api", "scheduler"):
        with otlp_receiver() as receiver:
            with traces(receiver.url, name):
                for call_id in calls:
                    with tracing.span_of_call("x", call_id, caused_by=None, began_ns=0):
                        tracing.span("y", call_id).__exit__(None, None, None)
            spans = receiver.spans()
            kept.append({span.trace_id for span in spans})
            assert len(spans) == 2 * len(kept[-1])
    assert kept[0] == kept[1]
    assert 60 < len(kept[0]) < 140


def test_a_stop_waits_only_a_moment_for_a_collector_that_is_unavailable():
    tracer = OpenTelemetryTracer("http://127.0.0.1:9/v1/traces", "up")
    tracing.arm(tracer.begin)
    try:
        for _ in range(5000):  # more than the queue of spans holds
            with tracing.span("x", CALL):
                pass
    finally:
        tracing.arm(None)
    began_s = time.monotonic()
    tracer.close()
    assert time.monotonic() - began_s < EXPORT_TIMEOUT_S + 5


def test_without_a_url_there_are_no_traces_and_without_the_extra_a_start_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ringback.adapters.open_telemetry", None)
    with traces(None, "up"):
        assert tracing.now_ns() == 0
    with pytest.raises(StartRefused, match=r"install ringback\[otel\]"), traces("http://127.0.0.1:9", "up"):
        pass
