"""The SQL of `action_results` and `dispositions`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.pool import encode_json
from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.contact import Disposition
from ringback.storage import ActionResult

FIND_RESULT = "SELECT request_hash, reply FROM action_results WHERE door = $1 AND key = $2"
STORE_ACTIONS = """
INSERT INTO action_results (door, key, action, request_hash, call_id, contact_id, at, reply)
SELECT door, key, action, request_hash, call_id, contact_id, at, reply::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[])
     AS row (door, key, action, request_hash, call_id, contact_id, at, reply)
ON CONFLICT DO NOTHING
"""
# The row stays in the timeline, under a key that no request has.
FREE_CONTENT_KEY = """
UPDATE action_results AS done SET key = done.key || '@' || coalesce(done.ordinal, 0)
WHERE done.door = $1 AND done.key = $2 AND (done.at < $3 OR EXISTS (
    SELECT FROM action_results AS later
    WHERE later.contact_id = done.contact_id AND later.at >= $3
      AND later.ordinal > done.ordinal AND later.action = ANY ($4::text[])))
"""
ADD_DISPOSITIONS = """
INSERT INTO dispositions (disposition_id, call_id, attempt_id, contact_id, code, note, at)
SELECT disposition_id, call_id, attempt_id, contact_id, code, note, at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
     AS row (disposition_id, call_id, attempt_id, contact_id, code, note, at)
"""


class PostgresActionResults:
    """Implements `storage.ActionResults`. The results are collected, and written before the commit."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection
        self._results: list[tuple[Any, ...]] = []

    def take_writes(self) -> Sequence[Write]:
        """Return the write of the collected results, if there are any, and forget them. Each must be written."""
        rows, self._results = self._results, []
        return [Write(Statement(STORE_ACTIONS, table="action_results"), rows)] if rows else []

    async def find(self, scope: str, key: str) -> tuple[str, dict[str, Any]] | None:
        record = await self._connection.read(FIND_RESULT, scope, key)
        return (record["request_hash"], record["reply"]) if record else None

    async def store(self, result: ActionResult) -> None:
        reply = encode_json(result.reply)
        named = result.scope, result.key, result.action, result.request_hash, result.call_id, result.contact_id
        self._results.append((*named, result.at, reply))

    async def free_key(self, scope: str, key: str, since: datetime, undone_by: tuple[str, ...]) -> None:
        await self._connection.execute(FREE_CONTENT_KEY, scope, key, since, undone_by)

    async def add_disposition(self, disposition: Disposition) -> None:
        named = disposition.disposition_id, disposition.call_id, disposition.attempt_id, disposition.contact_id
        row = *named, disposition.code, disposition.note, disposition.at
        await self._connection.keep(Write(Statement(ADD_DISPOSITIONS), [row]))
