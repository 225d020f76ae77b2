"""Metrics with bounded labels, and the last guard against secrets in text."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

#: Create-phone-call takes more than a second; the emulator and the database respond in milliseconds.
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

LogFormat = Literal["console", "json"]

HIDDEN = "[hidden]"

# A plus sign, as typed or URL-encoded, before 7 to 15 digits. Offsets such as +00:00 begin with zero or are too short.
_PHONE = re.compile(r"(?:\+|%2[Bb])[1-9][0-9]{6,14}(?![0-9])")
# Retell's keys, Standard Webhooks secrets, Ringback's API keys, any bearer token, a password within a URL.
_SECRET = re.compile(
    r"\b(?:key_|whsec_|rbk_)[A-Za-z0-9+/=_\-]{8,}"
    r"|(?<=bearer )\s*[^\s\"',;]+"
    r"|(?<=://)[^\s:/@]*:[^\s@]+(?=@)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text without phone numbers and secrets. Callers still must not write them."""
    return _PHONE.sub(HIDDEN, _SECRET.sub(HIDDEN, text))


class HttpRefusal(StrEnum):
    """A limit that a connection or a body exceeded."""

    NO_ROOM = "no_room"
    NO_HTTP = "no_http"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_TOO_SLOW = "head_too_slow"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    BODIES_TOO_MANY = "bodies_too_many"
    ANSWER_NOT_TAKEN = "answer_not_taken"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of a process. Label values are from closed sets (an enum, a route's template), not from requests."""

    registry: "CollectorRegistry"
    http_requests: "Counter"  # method, route, status
    http_duration_s: "Histogram"  # route
    http_refused: "Counter"  # reason

    def refused(self, reason: HttpRefusal) -> None:
        """Count a connection or body that exceeded a limit."""
        self.http_refused.labels(reason).inc()

    def watch(self, name: str, label: str, read: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """Publish counts of another object. `read` yields (label value, count) at every scrape."""
        self.registry.register(_count_collector(name, label, read))


def make_metrics() -> Metrics:
    """Create the metrics of one process, all at zero."""
    # Imported here, because the command line imports this module and counts nothing.
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()

    def counter(name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"ringback_{name}", help_text, labels, registry=registry)

    def duration(name: str, help_text: str, *labels: str) -> Histogram:
        return Histogram(f"ringback_{name}_seconds", help_text, labels, registry=registry, buckets=DURATION_BUCKETS_S)

    return Metrics(
        registry=registry,
        http_requests=counter("http_requests", "Requests answered", "method", "route", "status"),
        http_duration_s=duration("http_request_duration", "From the request's head to the end of the answer", "route"),
        http_refused=counter("http_refused", "Connections and bodies that ran into a limit", "reason"),
    )


def _count_collector(name: str, label: str, read: Callable[[], Iterable[tuple[str, float]]]) -> "Collector":
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.registry import Collector

    class CountCollector(Collector):
        def collect(self) -> "Iterable[Metric]":
            family = CounterMetricFamily(f"ringback_{name}", f"Counted by the {name} itself", labels=[label])
            for value, count in read():
                family.add_metric([value], count)
            yield family

    return CountCollector()
