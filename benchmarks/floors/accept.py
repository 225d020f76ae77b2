"""Floor of accepting a call: a bare Starlette handler and one statement for the calls that arrived together."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uuid_utils
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.floors.arguments import read_arguments
from benchmarks.floors.grouping import Grouped
from benchmarks.floors.queue_calls import QueueCalls, open_floor_pool

#: Calls of one statement, and statements at once.
GROUP, AT_ONCE = 50, 2

_ACCEPT = """
WITH call AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[],
                         $8::jsonb[], $9::jsonb[], $10::timestamptz[], $11::text[], $12::text[], $13::jsonb[])
             AS one (call_id, contact_id, phone, time_zone, fields, agent_id, from_number, variables, metadata, due_at,
                     idempotency_key, request_hash, response)),
known AS (
    INSERT INTO contacts (contact_id, phone, time_zone, time_zone_source, fields, updated_at)
    SELECT contact_id, phone, time_zone, 'crm', fields, $14 FROM call
    ON CONFLICT (contact_id) DO UPDATE SET phone = excluded.phone, updated_at = excluded.updated_at),
accepted AS (
    INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                       expires_at, expiry_is_explicit, status, idempotency_key, request_hash, response)
    SELECT call_id, contact_id, phone, agent_id, from_number, variables, metadata, '{}', $14,
           due_at + interval '7 days', false, CASE WHEN due_at <= $14 THEN 'queued' ELSE 'scheduled' END,
           idempotency_key, request_hash, response
    FROM call),
planned AS (
    INSERT INTO tasks (task_id, call_id, kind, due_at, status, dispatch, dispatched_at, created_at)
    SELECT 'task-' || call_id, call_id, 'first', due_at, CASE WHEN due_at <= $14 THEN 'dispatched' ELSE 'pending' END,
           (due_at <= $14)::int, CASE WHEN due_at <= $14 THEN $14 END, $14
    FROM call)
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at)
SELECT 'call_message', call_id || ':1', call_id, json_build_object(
           'type', 'CallRequested', 'v', 1, 'call_id', call_id, 'task_id', 'task-' || call_id, 'dispatch', 1), $14, $14
FROM call WHERE due_at <= $14
"""
_TAKE_OUTBOX = """
WITH taken AS (
    SELECT id FROM outbox WHERE kind = 'call_message' AND delivered_at IS NULL AND dead_at IS NULL AND due_at <= $1
    ORDER BY due_at, id LIMIT 100 FOR UPDATE SKIP LOCKED)
UPDATE outbox SET due_at = $1 + interval '60 s', tries = tries + 1 FROM taken WHERE outbox.id = taken.id
RETURNING outbox.id, payload
"""
_DELIVERED = "UPDATE outbox SET delivered_at = $2 WHERE id = ANY($1::bigint[])"


class Floor:
    """The handler and the relay, on one pool."""

    def __init__(self, database_url: str, counts: Path) -> None:
        self._database_url = database_url
        self._counts = counts
        self._wakeup = asyncio.Event()
        self._accept = Grouped(self._write, GROUP, AT_ONCE)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._pool = await open_floor_pool(self._database_url)
        self._queue = QueueCalls(self._pool, "calls")
        relay = asyncio.create_task(self._relay())
        yield
        relay.cancel()
        self._queue.write_counts(self._counts)
        self._pool.terminate()

    async def post_call(self, request: Request) -> JSONResponse:
        body = await request.body()
        call = json.loads(body)
        contact, now = call["contact"], datetime.now(UTC)
        due_at = datetime.fromisoformat(call["not_before"]) if "not_before" in call else now
        call_id = str(uuid_utils.uuid7())
        status = "queued" if due_at <= now else "scheduled"
        answer = {"call_id": call_id, "status": status, "next_eligible_at": due_at.isoformat()}
        await self._accept(
            (
                call_id,
                contact["contact_id"],
                contact["phone"],
                contact["time_zone"],
                json.dumps(contact["fields"]),
                call["agent_id"],
                call["from_number"],
                json.dumps(call["variables"]),
                json.dumps(call["metadata"]),
                due_at,
                request.headers["idempotency-key"],
                hashlib.sha256(body).hexdigest(),
                json.dumps(answer),
            )
        )
        if status == "queued":
            self._wakeup.set()
        return JSONResponse(answer, 202)

    async def _write(self, calls: list[tuple[Any, ...]]) -> Sequence[None]:
        async with self._pool.acquire() as connection:
            await connection.execute(_ACCEPT, *map(list, zip(*calls, strict=True)), datetime.now(UTC))
        return [None] * len(calls)

    async def _relay(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            while rows := await self._take():
                for first in range(0, len(rows), 10):
                    await self._queue.send([row["payload"] for row in rows[first : first + 10]])
                async with self._pool.acquire() as connection:
                    await connection.execute(_DELIVERED, [row["id"] for row in rows], datetime.now(UTC))

    async def _take(self) -> list[Any]:
        async with self._pool.acquire() as connection:
            rows: list[Any] = await connection.fetch(_TAKE_OUTBOX, datetime.now(UTC))
        return rows


def main() -> None:
    asked = read_arguments(__doc__)
    floor = Floor(asked.database_url, asked.counts)
    app = Starlette(routes=[Route("/v1/calls", floor.post_call, methods=["POST"])], lifespan=floor.lifespan)
    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
