"""A collector of traces: receives OTLP over HTTP, as a backend would, and prints what it received as trees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """Ids are hexadecimal. `parent_id` is empty at a root. `links` are (trace id, span id)."""

    name: str
    process: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    facts: dict[str, str]
    links: tuple[tuple[str, str], ...]


@dataclass
class OtlpReceiver:
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[ReceivedSpan]:
        return [span for body in list(self.bodies) for span in _read(body)]

    def of_trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans() if span.trace_id == trace_id]


def _read(body: bytes) -> Iterator[ReceivedSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    span.name,
                    about["service.name"].removeprefix("ringback-"),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes},
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                )


def tree(spans: list[ReceivedSpan]) -> list[str]:
    """Return a line for each span below its parent: when it began, its name, its process, and how long it took."""
    zero = min(span.began_ns for span in spans)

    def lines(parent_id: str, depth: int) -> Iterator[str]:
        children = sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: span.began_ns)
        for span in children:
            began_s, took_ms = (span.began_ns - zero) / 1e9, (span.ended_ns - span.began_ns) / 1e6
            kind = span.facts.get("ringback.event_name") or span.facts.get("ringback.event_type") or ""
            yield f"{began_s:8.3f} s {'  ' * depth}{span.name} {kind} [{span.process}] {took_ms:.1f} ms"
            yield from lines(span.span_id, depth + 1)

    return list(lines("", 0))


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    received = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
