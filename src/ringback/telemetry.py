"""Metrics with bounded labels."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

#: Create-phone-call takes more than a second; the emulator and the database respond in milliseconds.
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: A webhook is applied within milliseconds, or after an outage of hours.
LAG_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
#: A call ends within minutes, or after a week of retries and closed hours.
CALL_BUCKETS_S = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0)


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


#: A gauge's name, the value of its label ("" if it has none), and its value.
Reading = tuple[str, str, float]

#: Gauges that are read when they are scraped: label ("" for none) and help text, by name.
GAUGES = {
    "up": ("dependency", "1 if the dependency answered at this scrape"),
    "outbox_waiting_rows": ("channel", "Rows that are neither delivered nor dead"),
    "outbox_oldest_age_seconds": ("channel", "Age of the oldest of these rows"),
    "queue_waiting_messages": ("queue", "Messages that wait to be received"),
    "queue_oldest_age_seconds": ("queue", "Age of the oldest of these messages"),
    "dialing_paused": ("", "1 while dialing is paused"),
    "breaker_open": ("", "1 while the breaker of the provider's account is open"),
    "live_calls": ("", "Attempts that hold a slot"),
    "free_slots": ("", "RINGBACK_MAX_LIVE_CALLS less the attempts that hold a slot"),
    "due_calls_oldest_age_seconds": ("task", "Seconds since the oldest pending task was due, or was dispatched"),
    "unknown_attempts": ("", "Attempts whose answer was unclear, and that are looked up"),
    "unknown_attempts_oldest_age_seconds": ("", "Age of the oldest of these attempts"),
    "rollup_delta_age_seconds": ("", "Longest time for which a change may not be folded into the statistics"),
}


class Gauges(Collector):
    """The gauges as they were read last. A gauge that could not be read has no value: an old one would mislead."""

    def __init__(self) -> None:
        self.readings: Sequence[Reading] = ()
        self.of_process: dict[str, Callable[[], float]] = {}  # gauges without a label that a process knows itself

    def collect(self) -> Iterable[Metric]:
        own = [(name, "", read()) for name, read in self.of_process.items()]
        for name, (label, help_text) in GAUGES.items():
            family = GaugeMetricFamily(f"ringback_{name}", help_text, labels=[label] if label else [])
            for read, value, number in (*self.readings, *own):
                if read == name:
                    family.add_metric([value] if label else [], number)
            yield family


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of a process. Label values are from closed sets (an enum, a route's template), not from requests."""

    registry: CollectorRegistry
    http_requests: Counter  # method, route, status
    http_duration_s: Histogram  # route
    http_refused: Counter  # reason
    webhook_lag_s: Histogram
    call_to_final_event_s: Histogram  # type
    gauges: Gauges

    def refused(self, reason: HttpRefusal) -> None:
        """Count a connection or body that exceeded a limit."""
        self.http_refused.labels(reason).inc()

    def watch(self, name: str, label: str, read: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """Publish counts of another object. `read` yields (label value, count) at every scrape."""
        self.watch_all(name, (label,), lambda: (((value,), count) for value, count in read()))

    def watch_all(self, name: str, labels: Sequence[str], read: "ReadCounts") -> None:
        """Publish counts with several labels. `read` yields (label values, count) at every scrape."""
        self.registry.register(_CountCollector(name, labels, read))


ReadCounts = Callable[[], Iterable[tuple[tuple[str, ...], float]]]


def make_metrics() -> Metrics:
    """Create the metrics of one process, all at zero."""
    # Without it every counter and histogram has a second series, with the time of its birth.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, gauges = CollectorRegistry(), Gauges()
    registry.register(gauges)

    def counter(name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"ringback_{name}", help_text, labels, registry=registry)

    def duration(name: str, help_text: str, buckets_s: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"ringback_{name}_seconds", help_text, labels, registry=registry, buckets=buckets_s)

    return Metrics(
        registry=registry,
        http_requests=counter("http_requests", "Requests answered", "method", "route", "status"),
        http_duration_s=duration(
            "http_request_duration", "From the request's head to the end of the answer", DURATION_BUCKETS_S, "route"
        ),
        http_refused=counter("http_refused", "Connections and bodies that ran into a limit", "reason"),
        webhook_lag_s=duration("webhook_lag", "From the receipt of a webhook until it was applied", LAG_BUCKETS_S),
        call_to_final_event_s=duration(
            "call_to_final_event", "From the acceptance of a call to its final event", CALL_BUCKETS_S, "type"
        ),
        gauges=gauges,
    )


@dataclass(frozen=True, slots=True)
class _CountCollector(Collector):
    name: str
    labels: Sequence[str]
    read: ReadCounts

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(f"ringback_{self.name}", f"Counted by the {self.name} itself", labels=self.labels)
        for values, count in self.read():
            family.add_metric(values, count)
        yield family
