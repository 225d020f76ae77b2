"""Export spans over OTLP/HTTP with OpenTelemetry's SDK, which is the extra `ringback[otel]`."""

from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from ringback.tracing import ATTRIBUTE, Fact, NewSpan, Span, TraceContext

#: A stop waits no longer for a collector that is unavailable. The SDK alone would wait this long for each batch.
EXPORT_TIMEOUT_S = 5.0


class OpenTelemetryTracer:
    """Creates spans and exports them in batches from a thread. A full queue drops spans, and no work waits for it.

    The SDK reads its own settings, such as OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
    """

    def __init__(self, url: str, process: str) -> None:
        self._ids = _GivenIds()
        resource = Resource.create({"service.name": f"ringback-{process}", "service.namespace": "ringback"})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(url, timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ringback")

    def begin(self, new: NewSpan) -> Span:
        context = Context()
        if new.parent_id is not None:
            parent = _sdk_context(TraceContext(new.trace_id, new.parent_id))
            context = set_span_in_context(NonRecordingSpan(parent), context)
        self._ids.give(new.trace_id, new.span_id)
        span = self._tracer.start_span(
            new.name,
            context,
            SpanKind[new.kind.name],
            {f"ringback.{name}": fact for name, fact in new.facts.items()},
            [Link(_sdk_context(new.link))] if new.link is not None else (),
            new.began_ns,
        )
        return _RunningSpan(span)

    def close(self) -> None:
        """Export what is left, within `EXPORT_TIMEOUT_S`."""
        exporting = Thread(target=self._provider.shutdown, daemon=True)
        exporting.start()
        exporting.join(EXPORT_TIMEOUT_S)


class _RunningSpan:
    def __init__(self, span: SdkSpan) -> None:
        self._span = span

    def note(self, **facts: Fact | None) -> None:
        for name, fact in facts.items():
            if fact is not None:
                self._span.set_attribute(f"ringback.{name}", fact)

    def carried(self) -> dict[str, str]:
        context = self._span.get_span_context()
        return {ATTRIBUTE: str(TraceContext(f"{context.trace_id:032x}", f"{context.span_id:016x}"))}

    def __enter__(self) -> "_RunningSpan":
        return self

    def __exit__(self, *error: object) -> None:
        # The text of an error may quote a row, so only its type is recorded.
        if isinstance(error[1], BaseException):
            self._span.set_attribute("error.type", type(error[1]).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _GivenIds(RandomIdGenerator):
    """Gives the next span the ids that were chosen for it. A span is created without a pause, on one thread."""

    def __init__(self) -> None:
        self._trace_id = self._span_id = ""

    def give(self, trace_id: str, span_id: str | None) -> None:
        self._trace_id, self._span_id = trace_id, span_id or ""

    def generate_trace_id(self) -> int:
        return int(self._trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self._span_id, 16) if self._span_id else super().generate_span_id()


def _sdk_context(context: TraceContext) -> SpanContext:
    ids = int(context.trace_id, 16), int(context.span_id, 16)
    return SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
