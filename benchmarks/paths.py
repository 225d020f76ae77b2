"""The paths that are measured: the product's process, its floor, and what others would use for the same work."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from benchmarks.payloads import API_KEY, ENGAGE_SECRET, PROVIDER_KEY, WEBHOOK_KEY
from benchmarks.seeding import Seeding

#: Writes the rows of so many pieces of work. Returns the messages that are not in the database.
Fill = Callable[[Seeding, Any, int], Awaitable[list[str]]]

PRODUCT, FLOOR, WITHOUT_STATISTICS = "product", "floor", "without statistics"


class Source(StrEnum):
    """The source of a side's work."""

    HTTP = "http"
    #: A table of the database: the embedded queue, or the outbox.
    TABLE = "table"
    SQS = "sqs"
    BROKER = "broker"
    #: A queue of its own in the database.
    OWN_TABLES = "own tables"


class Stub(StrEnum):
    """The system that a path calls."""

    NONE = "none"
    PROVIDER = "provider"
    ENGAGE = "engage"


@dataclass(frozen=True, slots=True)
class Program:
    """One side of a path. `sends_to_sqs`: what it did is counted there, and not in the database.

    `counts` False: the product without its statistics.
    """

    name: str
    module: str
    source: Source = Source.HTTP
    processes: int = 1
    is_peer: bool = False  # runs in the environment of the peers
    sends_to_sqs: bool = False
    counts: bool = True

    @property
    def is_product(self) -> bool:
        return self.module == "benchmarks.product_process"


@dataclass(frozen=True, slots=True)
class Path:
    """`settings` are the product's environment beside the keys and the database; the first program is the product.

    `fill` puts work into `queue`, `fill_sqs` the same for SQS; a path without them is driven over HTTP. `done` counts
    what came of everything so far: it must be as much as was answered or filled in.
    """

    name: str
    title: str
    service: str
    programs: tuple[Program, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    stub: Stub = Stub.NONE
    fill: Fill | None = None
    fill_sqs: Fill | None = None
    left: str = "SELECT count(*) FROM queue_messages WHERE dead_at IS NULL"
    done: str = ""
    waits: str = ""  # gives p50 and p99 in seconds since $1


KEYS = {
    "RINGBACK_API_KEY": API_KEY,
    "RETELL_API_KEY": PROVIDER_KEY,
    "RETELL_WEBHOOK_KEY": WEBHOOK_KEY,
    # The SQS client wants them, although the stub does not ask.
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ENGAGE = {"RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET}
#: No limit of the product, the provider's own latency alone bounds the calls in flight.
UNLIMITED = {
    "RINGBACK_CALLING_HOURS": "always",
    "RINGBACK_MAX_LIVE_CALLS": "100000",
    "RINGBACK_CALLS_PER_SECOND": "10000",
}

_ACCEPTED = "SELECT count(*) FROM calls JOIN tasks USING (call_id)"
_UNDELIVERED = "SELECT count(*) FROM outbox WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL"


def _product(source: Source = Source.HTTP, name: str = PRODUCT, processes: int = 1) -> Program:
    return Program(name, "benchmarks.product_process", source, processes)


def _floor(module: str, source: Source = Source.HTTP) -> Program:
    return Program(FLOOR, f"benchmarks.floors.{module}", source)


def _queue_of_others(name: str, source: Source = Source.BROKER) -> Program:
    return Program(name, f"benchmarks.peers.with_{name}", source, is_peer=True)


PATHS = (
    Path(
        "accept",
        "calls accepted, due much later",
        "internal_api",
        (
            _product(),
            _floor("accept"),
            Program("FastAPI + aiobotocore", "benchmarks.peers.fastapi_accept", sends_to_sqs=True),
        ),
        done=_ACCEPTED,
    ),
    Path(
        "accept_now",
        "calls accepted, due at once",
        "internal_api",
        (_product(), _floor("accept")),
        {"RINGBACK_CALLING_HOURS": "always"},
        done=_ACCEPTED,
    ),
    Path(
        "place",
        "calls placed",
        "call_processor",
        (
            _product(Source.TABLE),
            _floor("place", Source.TABLE),
            _product(Source.TABLE, "two processes", 2),
            _product(Source.SQS, "product on SQS"),
            _queue_of_others("pgqueuer", Source.OWN_TABLES),
            _queue_of_others("celery"),
            _queue_of_others("dramatiq"),
            _queue_of_others("taskiq"),
        ),
        UNLIMITED,
        Stub.PROVIDER,
        Seeding.due_calls,
        Seeding.due_calls_on_sqs,
        done="SELECT count(*) FROM attempts WHERE provider_call_id IS NOT NULL",
        waits="""
        SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
            ORDER BY extract(epoch FROM outbox.created_at - attempts.claimed_at))
        FROM attempts JOIN outbox USING (call_id) WHERE outbox.kind = 'abt_event' AND attempts.claimed_at > $1
        """,
    ),
    Path(
        "receive",
        "webhooks received",
        "webhook_receiver",
        (_product(), _floor("receive"), Program("FastAPI + row commit", "benchmarks.peers.fastapi_receive")),
        done="SELECT count(*) FROM queue_messages WHERE queue = 'events'",
    ),
    Path(
        "apply",
        "events applied",
        "webhook_processor",
        (
            _product(Source.TABLE),
            _floor("apply", Source.TABLE),
            _product(Source.SQS, "product on SQS"),
            Program(WITHOUT_STATISTICS, "benchmarks.product_process", Source.TABLE, counts=False),
            Program("transaction each, SQS", "benchmarks.peers.sqs_apply", Source.SQS),
        ),
        {"RINGBACK_CALLING_HOURS": "always"},
        Stub.NONE,
        Seeding.placed_calls,
        Seeding.placed_calls_on_sqs,
        done="SELECT count(*) FROM provider_events WHERE fate = 'applied'",
    ),
    Path(
        "deliver",
        "events delivered to Engage",
        "scheduler",
        (_product(Source.TABLE), _floor("deliver", Source.TABLE)),
        ENGAGE,
        Stub.ENGAGE,
        Seeding.undelivered_events,
        left=_UNDELIVERED,
        done="SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL",
    ),
)
