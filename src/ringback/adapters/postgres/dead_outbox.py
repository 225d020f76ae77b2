"""Outbox rows that nobody would take."""

import json

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.ports import DeadLetter

_DEAD = """
SELECT id, kind, message_id, order_key, call_id, tries, created_at, payload, last_error, dead_at
FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT $1
"""
# The row itself goes on: under its own message id, and before the younger rows of its key that have not left yet.
_REPLAY = """
UPDATE outbox SET dead_at = NULL, tries = 0, refusals = 0, due_at = clock_timestamp()
WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR id::text = $1)
"""


class PostgresDeadOutbox:
    """Implements `flows.operator.dead_letters.Place`. A letter's body is JSON: what the row is, and its payload."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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

    async def replay(self, letter_id: str | None) -> int:
        async with connection_of(self._pool) as connection:
            status = await connection.execute(_REPLAY, letter_id)
        return int(status.removeprefix("UPDATE "))
