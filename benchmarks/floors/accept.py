"""Floor of accepting a call: a bare Starlette handler and one transaction that inserts the same rows."""

import argparse
import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uuid_utils
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.floors.queue_calls import QueueCalls, open_floor_pool

_CONTACT = """
INSERT INTO contacts (contact_id, phone, time_zone, time_zone_source, fields, updated_at)
VALUES ($1, $2, $3, 'crm', $4, $5)
ON CONFLICT (contact_id) DO UPDATE SET phone = excluded.phone, updated_at = excluded.updated_at
"""
_CALL = """
INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                   expires_at, expiry_is_explicit, status, idempotency_key, request_hash, response)
VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', $8, $9, false, $10, $11, $12, $13)
"""
_TASK = """
INSERT INTO tasks (task_id, call_id, kind, due_at, status, dispatch, dispatched_at, created_at)
VALUES ($1, $2, 'first', $3, $4, $5, $6, $7)
"""
_OUTBOX = """
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at)
VALUES ('call_message', $1, $2, $3, $4, $4)
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
        self._bell = asyncio.Event()

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
        now = datetime.now(UTC)
        due_at = datetime.fromisoformat(call["not_before"]) if "not_before" in call else now
        status = "queued" if due_at <= now else "scheduled"
        call_id = str(uuid_utils.uuid7())
        answer = {"call_id": call_id, "status": status, "next_eligible_at": due_at.isoformat()}
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                await _insert_contact(connection, call["contact"], now)
                await connection.execute(
                    _CALL,
                    call_id,
                    call["contact"]["contact_id"],
                    call["contact"]["phone"],
                    call["agent_id"],
                    call["from_number"],
                    json.dumps(call["variables"]),
                    json.dumps(call["metadata"]),
                    now,
                    due_at + timedelta(days=7),
                    status,
                    request.headers["idempotency-key"],
                    hashlib.sha256(body).hexdigest(),
                    json.dumps(answer),
                )
                await _insert_task(connection, call_id, now, due_at)
        if status == "queued":
            self._bell.set()
        return JSONResponse(answer, 202)

    async def _relay(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            while rows := await self._take():
                for first in range(0, len(rows), 10):
                    await self._queue.send([row["payload"] for row in rows[first : first + 10]])
                async with self._pool.acquire() as connection:
                    await connection.execute(_DELIVERED, [row["id"] for row in rows], datetime.now(UTC))

    async def _take(self) -> list[Any]:
        async with self._pool.acquire() as connection:
            rows: list[Any] = await connection.fetch(_TAKE_OUTBOX, datetime.now(UTC))
        return rows


async def _insert_contact(connection: Any, contact: dict[str, Any], now: datetime) -> None:
    fields = json.dumps(contact["fields"])
    await connection.execute(_CONTACT, contact["contact_id"], contact["phone"], contact["time_zone"], fields, now)


async def _insert_task(connection: Any, call_id: str, now: datetime, due_at: datetime) -> None:
    task_id = str(uuid_utils.uuid7())
    if due_at > now:
        await connection.execute(_TASK, task_id, call_id, due_at, "pending", 0, None, now)
        return
    await connection.execute(_TASK, task_id, call_id, due_at, "dispatched", 1, now, now)
    message = {"type": "CallRequested", "v": 1, "call_id": call_id, "task_id": task_id, "dispatch": 1}
    await connection.execute(_OUTBOX, f"{task_id}:1", call_id, json.dumps(message), now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--counts", type=Path, required=True)
    asked = parser.parse_args()
    floor = Floor(asked.database_url, asked.counts)
    app = Starlette(routes=[Route("/v1/calls", floor.post_call, methods=["POST"])], lifespan=floor.lifespan)
    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
