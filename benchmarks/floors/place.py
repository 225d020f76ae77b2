"""Floor of placing calls: creates through the provider's SDK, 200 in flight; claims and answers written in groups."""

import json
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import uuid_utils
import uvloop
from httpx_aiohttp import AiohttpTransport
from retell import AsyncRetell, DefaultAioHttpClient

from benchmarks.floors.arguments import read_arguments
from benchmarks.floors.draining import drain
from benchmarks.floors.grouping import Grouped
from benchmarks.floors.queue_calls import QueueCalls, Row, open_floor_pool
from benchmarks.payloads import INSTANCE, PROVIDER_KEY

IN_FLIGHT = 200
TIMEOUT_S = 30.0
#: Calls of one statement, and statements at once.
GROUP, AT_ONCE = 32, 2

_CLAIM = f"""
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[])
             AS one (attempt_id, task_id, dispatch, call_id)),
consumed AS (
    UPDATE tasks SET status = 'consumed' FROM wanted
    WHERE tasks.task_id = wanted.task_id AND tasks.dispatch = wanted.dispatch AND status = 'dispatched'
    RETURNING attempt_id, wanted.task_id, wanted.call_id),
taken AS (
    UPDATE calls SET status = 'dialing', attempts_made = 1, budget_used = 1 FROM consumed
    WHERE calls.call_id = consumed.call_id
    RETURNING attempt_id, task_id, calls.call_id, contact_id, phone, json_build_object(
        'from_number', from_number, 'to_number', phone, 'override_agent_id', agent_id,
        'retell_llm_dynamic_variables', variables || jsonb_build_object(
            'ringback_call_id', calls.call_id, 'ringback_attempt_id', attempt_id),
        'metadata', metadata || jsonb_build_object('ringback_call_id', calls.call_id, 'ringback_attempt_id', attempt_id,
                                                   'ringback_instance', '{INSTANCE}'),
        'idempotency_key', attempt_id, 'honor_internal_dnc', true) AS request)
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, claimed_at,
                      sent_at, resent, waits, lookups, clean_lookups, polls, holds_person, holds_slot,
                      voicemail_action, business, transcript_withheld, agent_spoke, initiated_event, started_event,
                      revision)
SELECT attempt_id, call_id, contact_id, phone, 1, task_id, request, 'dialing', 1, clock_timestamp(), clock_timestamp(),
       false, 0, 0, 0, 0, true, true, 'unknown', '{{}}', false, false, false, false, 0
FROM taken RETURNING attempt_id, request::text
"""
_ANSWERS = """
WITH answer AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS one (attempt_id, provider_call_id, call_id)),
placed AS (
    UPDATE attempts SET state = 'placed', provider_call_id = answer.provider_call_id, placed_at = sent_at,
           initiated_event = true
    FROM answer WHERE attempts.attempt_id = answer.attempt_id AND state = 'dialing' RETURNING answer.*),
counted AS (
    UPDATE calls SET sequence = sequence + 1, status = 'in_progress' FROM placed WHERE calls.call_id = placed.call_id)
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
SELECT 'abt_event', attempt_id, 'call:' || call_id, call_id,
       json_build_object('type', 'initiated', 'call_id', call_id, 'provider_call_id', provider_call_id),
       clock_timestamp(), clock_timestamp()
FROM placed
"""


class Floor:
    """What handling one message of the call queue takes at least."""

    def __init__(self, pool: Any, client: AsyncRetell) -> None:
        self._pool = pool
        self._client = client
        self._claim = Grouped(self._write_claims, GROUP, AT_ONCE)
        self._answer = Grouped(self._write_answers, GROUP, AT_ONCE)

    async def place(self, row: Row) -> None:
        message = json.loads(row["body"])
        attempt_id, call_id = str(uuid_utils.uuid7()), message["call_id"]
        request = await self._claim((attempt_id, message["task_id"], message["dispatch"], call_id))
        response = await self._client.post(
            "/v2/create-phone-call",
            cast_to=httpx.Response,
            content=request.encode(),
            options={"headers": {"content-type": "application/json"}, "max_retries": 0},
        )
        await self._answer((attempt_id, json.loads(response.content)["call_id"], call_id))

    async def _write_claims(self, claims: list[tuple[Any, ...]]) -> Sequence[str]:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(_CLAIM, *map(list, zip(*claims, strict=True)))
        requests = {row["attempt_id"]: row["request"] for row in rows}
        return [requests[attempt_id] for attempt_id, *_ in claims]

    async def _write_answers(self, answers: list[tuple[str, str, str]]) -> Sequence[None]:
        async with self._pool.acquire() as connection:
            await connection.execute(_ANSWERS, *map(list, zip(*answers, strict=True)))
        return [None] * len(answers)


def one_request_each(ssl_context: ssl.SSLContext) -> aiohttp.ClientSession:
    """A kept connection may hold bytes of an earlier response, so no dial may share one."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl_context, limit=IN_FLIGHT, force_close=True))


async def run_floor(database_url: str, provider_url: str, counts: Path) -> None:
    pool = await open_floor_pool(database_url)
    transport = AiohttpTransport()
    transport.client = partial(one_request_each, transport.ssl_context)
    http_client = DefaultAioHttpClient(timeout=TIMEOUT_S, transport=transport, follow_redirects=False)
    queue = QueueCalls(pool, "calls")
    async with AsyncRetell(
        api_key=PROVIDER_KEY, base_url=provider_url, max_retries=0, http_client=http_client
    ) as client:
        await drain(queue, Floor(pool, client).place, IN_FLIGHT)
    queue.write_counts(counts)
    pool.terminate()


def main() -> None:
    asked = read_arguments(__doc__)
    uvloop.run(run_floor(asked.database_url, asked.provider_url, asked.counts))


if __name__ == "__main__":
    main()
