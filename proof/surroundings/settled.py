"""After the fault: wait until every accepted call has ended, then let the oracles look."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg

from proof.findings import Findings
from proof.invariants import Invariant
from proof.surroundings.load import Load, call_id_in
from proof.surroundings.oracle import judge_ends, judge_rings, judge_telling, rings_of_calls
from proof.surroundings.receiver import judge_posts
from tests.stories.running_system import SystemClient

I2, I6, I8 = Invariant.I2, Invariant.I6, Invariant.I8
#: Without any progress. However slow the machine is, what moves will settle.
STUCK_AFTER_S = 180.0


def rows(database_url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def wait_settled(database_url: str, call_ids: Iterable[str]) -> float:
    """Seconds until all are final and Engage has taken everything; what is stuck is the oracle's business."""
    began = moved = time.monotonic()
    wanted, least = list(call_ids), (10**9, 10**9)
    open_calls = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"
    open_rows = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL AND kind = 'abt_event'"
    while time.monotonic() - moved < STUCK_AFTER_S:
        left = rows(database_url, open_calls, wanted)[0][0], rows(database_url, open_rows)[0][0]
        if left == (0, 0):
            break
        if left < least:
            least, moved = left, time.monotonic()
        time.sleep(0.5)
    return time.monotonic() - began


def judge_all(found: Findings, doors: SystemClient, database_url: str, call_ids: list[str], reproduce: str) -> None:
    """Rings, ends, events and unknown attempts of these calls."""
    mine = set(call_ids)
    rings = [ring for ring in doors.rings() if ring["metadata"]["ringback_call_id"] in mine]
    attempts = rows(database_url, "SELECT attempt_id, state FROM attempts WHERE call_id = ANY($1::text[])", call_ids)
    final = rows(database_url, "SELECT call_id, final FROM calls WHERE call_id = ANY($1::text[])", call_ids)
    judge_rings(found, rings, len(attempts), reproduce)
    judge_ends(found, dict.fromkeys(call_ids, False) | {row["call_id"]: row["final"] for row in final}, reproduce)
    deliveries = [one for one in doors.deliveries() if one["event"]["subject"] in mine]
    judge_telling(found, deliveries, call_ids, reproduce)
    known = {row["attempt_id"]: row["state"] for row in attempts}
    found.tried(I6, cases=len(rings))
    for ring in rings:
        state = known.get(ring["metadata"]["ringback_attempt_id"])
        if state in (None, "dialing", "unknown", "waiting"):
            found.broke(I6, f"a phone rang and its attempt is {state}", reproduce)


def judge_one_ring_each(found: Findings, doors: SystemClient, call_ids: list[str], reproduce: str) -> None:
    """Without a retry policy a call is one attempt, and so one ring at the most."""
    rung = rings_of_calls(doors.rings())
    found.tried(I2, cases=len(call_ids))
    for call_id in call_ids:
        if rung[call_id] > 1:
            found.broke(I2, f"call {call_id} rang {rung[call_id]} times", reproduce)


def judge_load(found: Findings, load: Load, database_url: str | None, reproduce: str) -> None:
    """The answers themselves. With the database, each accepted webhook is also looked for behind the queue."""
    found.tried(I8, cases=len(load.accepted))
    for key in load.doubled:
        found.broke(I8, f"{key} was answered with two calls", reproduce)
    for odd in load.odd:
        found.broke(Invariant.I18 if "answered" in odd else Invariant.I1, odd, reproduce)
    judge_posts(found, load.posted, None if database_url is None else _heard(database_url), reproduce)


def _heard(database_url: str) -> set[str]:
    applied = rows(database_url, "SELECT provider_call_id FROM provider_events")
    queued = rows(database_url, "SELECT body::json ->> 'body' AS body FROM queue_messages WHERE queue = 'events'")
    return {row["provider_call_id"] for row in applied} | {call_id_in(row["body"]) for row in queued}


def poll(is_so: Callable[[], bool], within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True
