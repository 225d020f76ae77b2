"""The SQL of `provider_events`, the inbox of the provider's reports."""

from datetime import datetime

from ringback.adapters.postgres.tracked_rows import FlushingConnection
from ringback.domain.attempt import Attempt
from ringback.domain.provider_report import ProviderReport

RECORD_PROVIDER_EVENT = """
INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""


class PostgresProviderEvents:
    """Implements `storage.ProviderEvents`."""

    def __init__(self, connection: FlushingConnection) -> None:
        self._connection = connection

    async def record(
        self,
        report: ProviderReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        handling: str,
        now: datetime,
    ) -> bool:
        status = await self._connection.execute(
            RECORD_PROVIDER_EVENT,
            report.provider_call_id,
            report.event_name,
            identity,
            now,
            attempt.attempt_id if attempt else report.attempt_id,
            attempt.call_id if attempt else report.call_id,
            handling,
            body,
        )
        return bool(status == "INSERT 0 1")
