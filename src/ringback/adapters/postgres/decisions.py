"""The SQL of `gate_decisions`, the log of decisions about calls."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.pool import encode_json
from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.domain.operations import INCIDENTS

INSERT_DECISIONS = """
INSERT INTO gate_decisions (call_id, attempt_id, at, kind, detail)
SELECT call_id, attempt_id, at, kind, detail::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     AS row (call_id, attempt_id, kind, detail, at)
"""
_INCIDENT_OF = {f"incident_{name}": name for name in INCIDENTS}


class PostgresDecisions:
    """Implements `storage.Decisions`. The rows are collected, and written before the commit."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str | None, str, str, datetime]] = []
        self.incidents: list[str] = []

    async def log(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None:
        self._rows.append((call_id, attempt_id, kind, encode_json(detail), now))
        if kind in _INCIDENT_OF:
            self.incidents.append(_INCIDENT_OF[kind])

    def take_writes(self) -> list[Write]:
        """Return the write of the collected rows, if there are any, and forget them."""
        rows, self._rows = self._rows, []
        return [Write(Statement(INSERT_DECISIONS), rows)] if rows else []
