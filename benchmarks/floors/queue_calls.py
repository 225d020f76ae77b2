"""The queue's calls as plain statements on its table, counted."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

VISIBLE_AGAIN_S = 30

_SEND = """
INSERT INTO queue_messages (queue, body, sent_at, visible_at)
SELECT $1, body, clock_timestamp(), clock_timestamp() FROM unnest($2::text[]) AS message (body)
"""
_RECEIVE = """
WITH next AS (
    SELECT id FROM queue_messages
    WHERE queue = $1 AND dead_at IS NULL AND visible_at <= (SELECT clock_timestamp())
    ORDER BY visible_at LIMIT 10 FOR UPDATE SKIP LOCKED)
UPDATE queue_messages AS message
SET visible_at = clock_timestamp() + make_interval(secs => $2), receive_count = receive_count + 1,
    receipt = gen_random_uuid()
FROM next WHERE message.id = next.id RETURNING message.id, receipt, body
"""
_DELETE = """
DELETE FROM queue_messages AS message USING unnest($1::bigint[], $2::uuid[]) AS done (id, receipt)
WHERE message.id = done.id AND message.receipt = done.receipt
"""

Row = Any


@dataclass(slots=True)
class QueueCalls:
    """One queue on one pool; every call is one statement of its own."""

    pool: Any
    queue: str
    counts: Counter[str] = field(default_factory=Counter)

    async def send(self, bodies: Sequence[str]) -> None:
        self.counts["send"] += 1
        async with self.pool.acquire() as connection:
            await connection.execute(_SEND, self.queue, list(bodies))

    async def receive(self) -> list[Row]:
        """Up to ten rows (id, receipt, body)."""
        self.counts["receive"] += 1
        async with self.pool.acquire() as connection:
            rows: list[Row] = await connection.fetch(_RECEIVE, self.queue, float(VISIBLE_AGAIN_S))
        return rows

    async def delete(self, rows: Sequence[Row]) -> None:
        self.counts["delete"] += 1
        async with self.pool.acquire() as connection:
            await connection.execute(_DELETE, [row["id"] for row in rows], [row["receipt"] for row in rows])

    def write_counts(self, path: Path) -> None:
        path.write_text(json.dumps(self.counts))


async def _keep_session(_: object) -> None:
    """Nothing in a session needs a RESET between two uses of its connection."""


async def open_floor_pool(database_url: str) -> Any:
    """As many connections as one of the product's processes has."""
    return await asyncpg.create_pool(database_url, min_size=1, max_size=24, reset=_keep_session)
