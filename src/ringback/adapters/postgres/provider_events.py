"""The SQL of `provider_events`, the inbox of the provider's reports."""

from datetime import datetime

from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.attempt import Attempt
from ringback.domain.provider_report import ProviderReport

IS_RECORDED = """
SELECT EXISTS (SELECT FROM provider_events
               WHERE provider_call_id = $1 AND event = $2 AND content_hash = decode($3, 'hex')) AS is_recorded
"""
RECORD_PROVIDER_EVENTS = """
INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
SELECT provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS given (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
ON CONFLICT DO NOTHING
"""


class PostgresProviderEvents:
    """Implements `storage.ProviderEvents`. The rows are collected, and written before the commit."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[object, ...]] = []

    async def record(
        self,
        report: ProviderReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        handling: str,
        now: datetime,
    ) -> bool:
        name, id_ = report.event_name, report.provider_call_id
        known = await self._connection.read(IS_RECORDED, id_, name, identity.hex())
        if known is not None and known["is_recorded"]:
            return False
        attempt_id = attempt.attempt_id if attempt else report.attempt_id
        call_id = attempt.call_id if attempt else report.call_id
        self._rows.append((id_, name, identity, now, attempt_id, call_id, handling, body))
        return True

    def take_writes(self) -> list[Write]:
        """Return the write of the collected rows, if there are any, and forget them.

        A transaction that records the same event meanwhile makes it fail: no event is applied twice.
        """
        rows, self._rows = self._rows, []
        return [Write(Statement(RECORD_PROVIDER_EVENTS, table="provider_events"), rows)] if rows else []
