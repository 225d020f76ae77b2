"""What the outside can see at the end: the database's rows, Engage's ledger, the phones that rang."""

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.stories.running_system import SystemClient

POLL_S = 0.5

# What still has to be done: messages, rows that leave, and calls that are due or under way. The seeded calls are
# under way until their webhooks were heard, so they count only after the first.
_LEFT = """
SELECT (SELECT count(*) FROM queue_messages WHERE dead_at IS NULL) AS messages,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL) AS leaving,
       (SELECT count(*) FROM tasks WHERE status = 'dispatched' OR status IN ('pending', 'held') AND due_at <= now())
           AS due,
       (SELECT count(*) FROM attempts
        WHERE state IN ('waiting', 'dialing', 'unknown', 'placed', 'ongoing', 'ended') AND contact_id NOT LIKE 'crm-%')
           AS under_way
"""
_DEAD = """
SELECT (SELECT count(*) FROM queue_messages WHERE dead_at IS NOT NULL)
     + (SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL)
"""
_CALLS = """
SELECT call_id, idempotency_key, status, final,
       EXISTS (SELECT FROM tasks WHERE tasks.call_id = calls.call_id AND tasks.status = 'pending') AS planned
FROM calls
"""


@dataclass(frozen=True, slots=True)
class CallRow:
    idempotency_key: str | None
    status: str
    final: bool
    planned: bool


@dataclass(frozen=True, slots=True)
class World:
    """`deliveries` are the ABT events of each call in order of arrival, repeats too; `inbox` holds (provider call id,
    event); `rings` counts by call id."""

    calls: dict[str, CallRow]
    inbox: set[tuple[str, str]]
    deliveries: dict[str, list[dict[str, Any]]]
    rings: Counter[str]
    dead_letters: int


def look(database_url: str, doors: SystemClient) -> World:
    return asyncio.run(_look(database_url, doors))


async def _look(database_url: str, doors: SystemClient) -> World:
    connection = await asyncpg.connect(database_url)
    try:
        calls = {row["call_id"]: CallRow(*list(row.values())[1:]) for row in await connection.fetch(_CALLS)}
        inbox = {tuple(row) for row in await connection.fetch("SELECT provider_call_id, event FROM provider_events")}
        dead_letters = await connection.fetchval(_DEAD)
    finally:
        await connection.close()
    deliveries: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in doors.deliveries():
        deliveries[item["event"]["subject"]].append(item["event"])
    rings = Counter(ring["metadata"]["ringback_call_id"] for ring in doors.rings())
    return World(calls, inbox, deliveries, rings, dead_letters)


def left_to_do(database_url: str) -> dict[str, int]:
    return asyncio.run(_left(database_url))


async def _left(database_url: str) -> dict[str, int]:
    connection = await asyncpg.connect(database_url)
    try:
        return dict((await connection.fetch(_LEFT))[0])
    finally:
        await connection.close()


def settle(database_url: str, within_s: float) -> dict[str, int]:
    """Waits until nothing is left to do; what is left when the time is over."""
    give_up_at = time.monotonic() + within_s
    while any((left := left_to_do(database_url)).values()) and time.monotonic() < give_up_at:
        time.sleep(POLL_S)
    return left
