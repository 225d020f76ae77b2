"""What can be seen from outside when all has settled: the two ledgers, and the rows of the database."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from proof.kill.fates import Fate, Json
from tests.stories.running_system import SystemClient

_CALLS = "SELECT call_id, status, final FROM calls"
_ATTEMPTS = """
SELECT attempt_id, call_id, state, provider_call_id, holds_person, holds_slot,
       coalesce(lease_until < now(), false) AS lease_is_over
FROM attempts
"""
_OPEN = """
SELECT (SELECT count(*) FROM calls WHERE NOT final) AS calls_not_final,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL) AS not_delivered,
       (SELECT count(*) FROM queue_messages WHERE dead_at IS NULL) AS messages_waiting
"""
_STATES = """
SELECT coalesce(attempt.state, 'queued') AS state, count(*) AS count
FROM calls LEFT JOIN LATERAL
     (SELECT state FROM attempts WHERE attempts.call_id = calls.call_id ORDER BY number DESC LIMIT 1) AS attempt ON true
WHERE NOT final GROUP BY 1 ORDER BY 2 DESC
"""
_DIALED = """
SELECT count(provider_call_id) AS placed, count(*) FILTER (WHERE state = 'dialing') AS dialing FROM attempts
"""
_DEAD = """
SELECT (SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL)
     + (SELECT count(*) FROM queue_messages WHERE dead_at IS NOT NULL) AS dead
"""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`accepted` is by call id, `deliveries` Engage's ledger in order of arrival, `rings` the emulated Retell's;
    `calls` and `attempts` are rows; `dead_letters` counts those of the outbox and of the queues."""

    accepted: Mapping[str, Fate]
    rings: Sequence[Json]
    deliveries: Sequence[Json]
    calls: Sequence[Json]
    attempts: Sequence[Json]
    dead_letters: int


def rows(database_url: str, statement: str) -> list[Json]:
    async def read() -> list[Json]:
        connection = await asyncpg.connect(database_url)
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(read())


def states_in_flight(database_url: str) -> dict[str, int]:
    """Calls accepted and not final, by the state of their latest attempt; `queued` are those never dialed."""
    return {row["state"]: row["count"] for row in rows(database_url, _STATES)}


def dialed_so_far(database_url: str) -> dict[str, int]:
    """Attempts `placed`, whose call at the provider is known, and `dialing`. Light enough to be asked for often."""
    [counts] = rows(database_url, _DIALED)
    return counts


def what_is_open(database_url: str) -> dict[str, int]:
    [counts] = rows(database_url, _OPEN)
    return counts


def see(doors: SystemClient, database_url: str, accepted: Mapping[str, Fate]) -> Aftermath:
    [dead] = rows(database_url, _DEAD)
    return Aftermath(
        accepted,
        doors.rings(),
        doors.deliveries(),
        rows(database_url, _CALLS),
        rows(database_url, _ATTEMPTS),
        dead["dead"],
    )


def heard_by_call(deliveries: Sequence[Json]) -> Mapping[str, list[Json]]:
    """The events that Engage was sent, repeats too, by call."""
    heard: dict[str, list[Json]] = defaultdict(list)
    for delivery in deliveries:
        heard[delivery["event"]["subject"]].append(delivery["event"])
    return heard


def engage_knows_all(deliveries: Sequence[Json], accepted: Mapping[str, Fate]) -> bool:
    """Whether every call has had as many events as its fate asks for, the final one among them."""
    heard = heard_by_call(deliveries)
    return all(
        len({event["id"] for event in heard[call_id]}) >= len(fate.events) and any(map(is_final, heard[call_id]))
        for call_id, fate in accepted.items()
    )


def is_final(event: Mapping[str, Any]) -> bool:
    return event["data"].get("is_final") is True
