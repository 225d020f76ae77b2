"""The paths that are measured: which process of the product, which floor, what load."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.payloads import API_KEY, PROVIDER_KEY, WEBHOOK_KEY
from benchmarks.seeding import Seeding

Fill = Callable[[Seeding, Any, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Path:
    """One row of the report. `settings` are the product's environment beside the keys and the database.

    `fill` puts work into `queue`; a path without it is driven over HTTP. `done` counts what came of everything so far:
    it must be as much as was answered or filled in.
    """

    name: str
    title: str
    service: str
    settings: Mapping[str, str] = field(default_factory=dict)
    fill: Fill | None = None
    queue: str = ""
    done: str = ""
    waits: str = ""  # gives p50 and p99 in seconds since $1


KEYS = {"RINGBACK_API_KEY": API_KEY, "RETELL_API_KEY": PROVIDER_KEY, "RETELL_WEBHOOK_KEY": WEBHOOK_KEY}

_ACCEPTED = "SELECT count(*) FROM calls JOIN tasks USING (call_id)"

PATHS = (
    Path("accept", "calls accepted, due much later", "internal_api", done=_ACCEPTED),
    Path(
        "accept_now",
        "calls accepted, due at once",
        "internal_api",
        {"RINGBACK_CALLING_HOURS": "always"},
        done=_ACCEPTED,
    ),
    Path(
        "place",
        "calls placed",
        "call_processor",
        {
            "RINGBACK_CALLING_HOURS": "always",
            "RINGBACK_MAX_LIVE_CALLS": "100000",
            "RINGBACK_CALLS_PER_SECOND": "10000",
        },
        Seeding.due_calls,
        "calls",
        "SELECT count(*) FROM attempts WHERE provider_call_id IS NOT NULL",
        """
        SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
            ORDER BY extract(epoch FROM outbox.created_at - attempts.claimed_at))
        FROM attempts JOIN outbox USING (call_id) WHERE outbox.kind = 'abt_event' AND attempts.claimed_at > $1
        """,
    ),
    Path(
        "receive",
        "webhooks received",
        "webhook_receiver",
        done="SELECT count(*) FROM queue_messages WHERE queue = 'events'",
    ),
    Path(
        "apply",
        "events applied",
        "webhook_processor",
        {"RINGBACK_CALLING_HOURS": "always"},
        Seeding.placed_calls,
        "events",
        "SELECT count(*) FROM provider_events WHERE fate = 'applied'",
    ),
)
