"""The SQL of `gate_decisions`, the log of decisions about calls."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.pool import Connection, encode_json

INSERT_DECISIONS = """
INSERT INTO gate_decisions (call_id, attempt_id, at, kind, detail)
SELECT call_id, attempt_id, at, kind, detail::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     AS row (call_id, attempt_id, kind, detail, at)
"""


class PostgresDecisions:
    """Implements `storage.Decisions`. The rows are collected, and written by `flush`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[tuple[str, str | None, str, str, datetime]] = []

    async def log(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None:
        self._rows.append((call_id, attempt_id, kind, encode_json(detail), now))

    async def flush(self) -> None:
        if self._rows:
            await self._connection.execute(INSERT_DECISIONS, *zip(*self._rows, strict=True))
            self._rows.clear()
