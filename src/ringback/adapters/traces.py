"""Turn the traces of a process on and off."""

from collections.abc import Iterator
from contextlib import contextmanager

from ringback import tracing
from ringback.domain.errors import StartRefused


@contextmanager
def traces(url: str | None, process: str) -> Iterator[None]:
    """Export the spans of this process to an OTLP/HTTP collector. Without a URL it does nothing.

    Raises StartRefused if the extra `otel` is not installed.
    """
    if url is None:
        yield
        return
    try:
        # An extra: only the processes that export traces import the SDK.
        from ringback.adapters.open_telemetry import OpenTelemetryTracer
    except ImportError:
        raise StartRefused("RINGBACK_TRACES_URL: install ringback[otel], or remove the setting") from None
    tracer = OpenTelemetryTracer(url, process)
    tracing.arm(tracer.begin)
    try:
        yield
    finally:
        tracing.arm(None)
        tracer.close()
