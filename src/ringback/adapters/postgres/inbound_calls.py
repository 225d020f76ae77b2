"""The SQL of `inbound_calls`."""

from datetime import datetime

from ringback.adapters.postgres.rows import inbound_call_from, named_columns
from ringback.adapters.postgres.tracked_rows import TrackedRows
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.call import InboundCall

INBOUND_CALL = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE provider_call_id = $2 OR (inbound_id = $1 AND (provider_call_id IS NULL OR $2::text IS NULL))
ORDER BY provider_call_id NULLS LAST LIMIT 1
"""
RINGING_INBOUND_CALL = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE phone = $1 AND to_number = $2 AND rang_at >= $3 AND provider_call_id IS NULL AND released_at IS NULL
ORDER BY rang_at DESC LIMIT 1
"""
HELD_UNTIL = """
SELECT max(hold_until) AS held_until FROM inbound_calls
WHERE released_at IS NULL AND (phone = $1 OR contact_id = $2)
"""
# The longest hold is over, and the end of the inbound call was not reported. This is not one statement with the next:
# the end of an inbound call locks that call's row and then its tasks, and one statement would lock in the other order.
GIVE_UP_INBOUND = "UPDATE inbound_calls SET released_at = hold_until WHERE released_at IS NULL AND hold_until <= $1"


class PostgresInboundCalls:
    """Implements `storage.InboundCalls`."""

    def __init__(self, connection: UnitConnection, rows: TrackedRows) -> None:
        self._connection = connection
        self._rows = rows

    async def find(self, inbound_id: str | None, provider_call_id: str | None) -> InboundCall | None:
        record = await self._connection.read(INBOUND_CALL, inbound_id, provider_call_id)
        return self._rows.remember(inbound_call_from(record)) if record else None

    async def find_ringing(self, phone: str, to_number: str, since: datetime) -> InboundCall | None:
        record = await self._connection.read(RINGING_INBOUND_CALL, phone, to_number, since)
        return self._rows.remember(inbound_call_from(record)) if record else None

    async def held_until(self, phone: str, contact_id: str) -> datetime | None:
        record = await self._connection.read(HELD_UNTIL, phone, contact_id)
        assert record is not None, "an aggregate is one row"
        until: datetime | None = record["held_until"]
        return until
