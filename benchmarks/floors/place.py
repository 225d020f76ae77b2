"""Floor of placing calls: bare creates through the provider's SDK, 200 in flight, and the fewest statements that
write down the claim and the answer."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uuid_utils
import uvloop
from retell import AsyncRetell, DefaultAioHttpClient

from benchmarks.floors.draining import drain
from benchmarks.floors.queue_calls import QueueCalls, Row, open_floor_pool
from benchmarks.payloads import INSTANCE, PROVIDER_KEY

IN_FLIGHT = 200
TIMEOUT_S = 30.0

_TAKE_CALL = """
UPDATE calls SET status = 'dialing', attempts_made = 1, budget_used = 1 WHERE call_id = $1
RETURNING contact_id, phone, agent_id, from_number, variables, metadata
"""
_CONSUME_TASK = "UPDATE tasks SET status = 'consumed' WHERE task_id = $1 AND dispatch = $2 AND status = 'dispatched'"
_CLAIM = """
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, claimed_at,
                      sent_at, resent, waits, lookups, clean_lookups, polls, holds_person, holds_slot,
                      voicemail_action, business, transcript_withheld, agent_spoke, initiated_event, started_event,
                      revision)
VALUES ($1, $2, $3, $4, 1, $5, $6, 'dialing', 1, $7, $7, false, 0, 0, 0, 0, true, true, 'unknown', '{}', false, false,
        false, false, 0)
"""
_PLACED = """
UPDATE attempts SET state = 'placed', provider_call_id = $2, placed_at = sent_at, initiated_event = true
WHERE attempt_id = $1 AND state = 'dialing'
"""
_COUNT_EVENT = "UPDATE calls SET sequence = sequence + 1, status = 'in_progress' WHERE call_id = $1"
_OUTBOX = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
VALUES ('abt_event', $1, $2, $3, $4, $5, $5)
"""


class Floor:
    """What handling one message of the call queue takes at least."""

    def __init__(self, pool: Any, client: AsyncRetell) -> None:
        self._pool = pool
        self._client = client

    async def place(self, row: Row) -> None:
        message = json.loads(row["body"])
        call_id, task_id = message["call_id"], message["task_id"]
        attempt_id = str(uuid_utils.uuid7())
        now = datetime.now(UTC)
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                call = await connection.fetchrow(_TAKE_CALL, call_id)
                request = _request(call, call_id, attempt_id)
                await connection.execute(_CONSUME_TASK, task_id, message["dispatch"])
                text = json.dumps(request)
                person = call["contact_id"], call["phone"]
                await connection.execute(_CLAIM, attempt_id, call_id, *person, task_id, text, now)
        raw = await self._client.call.with_raw_response.create_phone_call(**request, max_retries=0)
        provider_call_id = json.loads(raw.http_response.content)["call_id"]
        now = datetime.now(UTC)
        event = {"type": "initiated", "call_id": call_id, "provider_call_id": provider_call_id}
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute(_PLACED, attempt_id, provider_call_id)
                await connection.execute(_COUNT_EVENT, call_id)
                await connection.execute(_OUTBOX, attempt_id, f"call:{call_id}", call_id, json.dumps(event), now)


def _request(call: Row, call_id: str, attempt_id: str) -> dict[str, Any]:
    marks = {"ringback_call_id": call_id, "ringback_attempt_id": attempt_id}
    return {
        "from_number": call["from_number"],
        "to_number": call["phone"],
        "override_agent_id": call["agent_id"],
        "retell_llm_dynamic_variables": json.loads(call["variables"]) | marks,
        "metadata": json.loads(call["metadata"]) | marks | {"ringback_instance": INSTANCE},
        "idempotency_key": attempt_id,
        "honor_internal_dnc": True,
    }


async def run_floor(database_url: str, provider_url: str, counts: Path) -> None:
    pool = await open_floor_pool(database_url)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    http_client = DefaultAioHttpClient(timeout=TIMEOUT_S, limits=limits, follow_redirects=False)
    queue = QueueCalls(pool, "calls")
    async with AsyncRetell(
        api_key=PROVIDER_KEY, base_url=provider_url, max_retries=0, http_client=http_client
    ) as client:
        await drain(queue, Floor(pool, client).place, IN_FLIGHT)
    queue.write_counts(counts)
    pool.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--provider-url", required=True)
    parser.add_argument("--counts", type=Path, required=True)
    asked = parser.parse_args()
    uvloop.run(run_floor(asked.database_url, asked.provider_url, asked.counts))


if __name__ == "__main__":
    main()
