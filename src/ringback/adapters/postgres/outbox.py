"""The SQL of the outbox, and its dead rows as letters for the operator."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ringback.adapters.message_limits import MAX_LETTERS
from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.pool import Pool, connection_of, encode_json
from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.domain.abt_event import LIFECYCLE_NAMES, AbtEvent
from ringback.domain.audit import AuditEntry
from ringback.ports import DeadLetter
from ringback.storage import OutboxKind

# Due by the database's time if this process is ahead: a clock that is wrong for a minute must not delay a row by hours.
INSERT_OUTBOX = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at, ready_at)
SELECT kind, message_id, order_key, call_id, payload::json, at, due_at, due_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
     AS row (kind, message_id, order_key, call_id, payload, at),
     LATERAL (SELECT least(at, clock_timestamp()) AS due_at) AS due
ON CONFLICT (message_id) DO NOTHING
"""
# A row is the first of its order key when no earlier row of that key is open. Taking a row postpones its due time, so
# the rows of a dead relay become due again. SKIP LOCKED keeps relays from waiting for each other. Each kind is read in
# the order of its index, so a backlog of one kind is neither sorted nor read whole. The index has `ready_at`, which
# taking a row does not change.
TAKE = """
WITH taken AS (
    SELECT first.id FROM unnest($1::text[]) AS wanted (kind), LATERAL (
        SELECT id, ready_at FROM outbox AS row
        WHERE kind = wanted.kind AND delivered_at IS NULL AND dead_at IS NULL AND ready_at <= $2 AND due_at <= $2
          AND (order_key IS NULL OR NOT EXISTS (
                SELECT FROM outbox AS earlier
                WHERE earlier.order_key = row.order_key AND earlier.id < row.id
                  AND earlier.delivered_at IS NULL AND earlier.dead_at IS NULL))
        ORDER BY ready_at, id LIMIT $4 FOR UPDATE SKIP LOCKED) AS first
    ORDER BY first.ready_at, first.id LIMIT $4)
UPDATE outbox SET due_at = $3, tries = tries + 1 WHERE id = ANY (ARRAY(SELECT id FROM taken))
RETURNING id, kind, message_id, call_id, payload, created_at, tries, refusals
"""
# The last events of an erased person hold Engage's id of them, so they are deleted once delivered.
DELIVERED = """
WITH of_erased AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) AND erased)
UPDATE outbox SET delivered_at = $2, last_error = NULL WHERE id = ANY($1::bigint[]) AND NOT erased
"""
# Later rows of the key cannot be delivered before a waiting row. They become due with it, so no pass reads them before.
FAILED = """
WITH failed AS (
    UPDATE outbox SET last_error = $2, refusals = refusals + $5::int, due_at = coalesce($3, due_at),
           ready_at = coalesce($3, ready_at),
           dead_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END
    WHERE id = $1 AND delivered_at IS NULL RETURNING order_key)
UPDATE outbox SET due_at = $3, ready_at = $3 FROM failed
WHERE outbox.order_key = failed.order_key AND id > $1 AND delivered_at IS NULL AND dead_at IS NULL
  AND due_at < $3::timestamptz
"""
_DEAD_COUNT = "SELECT count(*) FROM (SELECT FROM outbox WHERE dead_at IS NOT NULL LIMIT $1) AS dead"
_DEAD = """
SELECT id, kind, message_id, order_key, call_id, tries, created_at, payload, last_error, dead_at
FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT $1
"""
# The row itself is delivered again: under its own message id, and before the open younger rows of its key.
_REPLAY = """
UPDATE outbox SET dead_at = NULL, tries = 0, refusals = 0, due_at = clock_timestamp()
WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR id::text = $1)
"""


def final_event_of(event: AbtEvent) -> tuple[str, str] | None:
    """Return (type, reason) of an event that ends a call. A correction ends no other call."""
    if event.type not in LIFECYCLE_NAMES or event.data.get("is_final") is not True or "corrects" in event.data:
        return None
    return str(event.type), str(event.data.get("reason") or "none")


class PostgresOutbox:
    """Implements `storage.Outbox`. The rows are collected, and written before the commit."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str | None, str | None, str, datetime]] = []
        self.written: set[str] = set()  # the kinds of rows
        # Each event that ends a call: its type and reason, the id of the call, and the time.
        self.finals: list[tuple[tuple[str, str], str, datetime]] = []

    async def enqueue_event(self, event: AbtEvent, now: datetime) -> None:
        order_key, payload = f"call:{event.call_id}", encode_json(event.envelope())
        self._rows.append(("abt_event", event.event_id, order_key, event.call_id, payload, now))
        if (final := final_event_of(event)) is not None:
            self.finals.append((final, event.call_id, now))

    async def enqueue(
        self, kind: OutboxKind, message_id: str, payload: Mapping[str, Any], order_key: str | None, now: datetime
    ) -> None:
        self._rows.append((kind, message_id, order_key, payload.get("call_id"), encode_json(payload), now))

    def take_writes(self) -> list[Write]:
        """Return the write of the collected rows, if there are any, and forget them."""
        rows, self._rows = self._rows, []
        self.written.update(row[0] for row in rows)
        return [Write(Statement(INSERT_OUTBOX), rows)] if rows else []


class PostgresDeadOutbox:
    """Implements `flows.operator.dead_letters.DeadLetterSource`.

    A letter's body is JSON: the row's columns and its payload.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def dead_letter_count(self) -> int:
        async with connection_of(self._pool) as connection:
            return int(await connection.fetchval(_DEAD_COUNT, MAX_LETTERS + 1))

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_DEAD, limit)
        return [
            DeadLetter(
                str(row["id"]),
                json.dumps(
                    {name: row[name] for name in ("kind", "message_id", "order_key", "call_id", "tries", "payload")},
                    ensure_ascii=False,
                ),
                row["last_error"],
                row["dead_at"],
            )
            for row in rows
        ]

    async def replay(self, letter_id: str | None, entry: AuditEntry) -> int:
        async with connection_of(self._pool) as connection, connection.transaction():
            status = await connection.execute(_REPLAY, letter_id)
            count = int(status.removeprefix("UPDATE "))
            if count:
                await append(connection, replace(entry, detail={"letters": count}))
        return count
