"""The SQL of `action_results` and `dispositions`."""

from datetime import datetime
from typing import Any

from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.storage import ActionResult, Disposition

_FIND = "SELECT request_hash, reply FROM action_results WHERE door = $1 AND key = $2"
STORE_ACTION = """
INSERT INTO action_results (door, key, action, request_hash, call_id, contact_id, at, reply)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
# The row stays in the timeline, under a key that no request has.
FREE_CONTENT_KEY = """
UPDATE action_results AS done SET key = done.key || '@' || coalesce(done.ordinal, 0)
WHERE done.door = $1 AND done.key = $2 AND (done.at < $3 OR EXISTS (
    SELECT FROM action_results AS later
    WHERE later.contact_id = done.contact_id AND later.at >= $3
      AND later.ordinal > done.ordinal AND later.action = ANY ($4::text[])))
"""
ADD_DISPOSITION = """
INSERT INTO dispositions (disposition_id, call_id, attempt_id, contact_id, code, note, at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class PostgresActionResults:
    """Implements `storage.ActionResults`."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection

    async def find(self, scope: str, key: str) -> tuple[str, dict[str, Any]] | None:
        record = await self._connection.fetchrow(_FIND, scope, key)
        return (record["request_hash"], record["reply"]) if record else None

    async def store(self, result: ActionResult) -> bool:
        status = await self._connection.execute(
            STORE_ACTION,
            result.scope,
            result.key,
            result.action,
            result.request_hash,
            result.call_id,
            result.contact_id,
            result.at,
            result.reply,
        )
        return bool(status == "INSERT 0 1")

    async def free_key(self, scope: str, key: str, since: datetime, undone_by: tuple[str, ...]) -> None:
        await self._connection.execute(FREE_CONTENT_KEY, scope, key, since, undone_by)

    async def add_disposition(self, disposition: Disposition) -> None:
        await self._connection.execute(
            ADD_DISPOSITION,
            disposition.disposition_id,
            disposition.call_id,
            disposition.attempt_id,
            disposition.contact_id,
            disposition.code,
            disposition.note,
            disposition.at,
        )
