"""The SQL of `attempts`."""

from collections.abc import Sequence

from ringback.adapters.postgres.rows import attempt_from, literals, named_columns
from ringback.adapters.postgres.tracked_rows import TrackedRows
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.attempt import POSSIBLY_RINGING, Attempt

ATTEMPT = f"SELECT {named_columns(Attempt)} FROM attempts WHERE attempt_id = $1"
ATTEMPT_OF_PROVIDER_CALL = f"SELECT {named_columns(Attempt)} FROM attempts WHERE provider_call_id = $1"
LATEST_ATTEMPT = f"SELECT {named_columns(Attempt)} FROM attempts WHERE call_id = $1 ORDER BY number DESC LIMIT 1"
COUNT_BEFORE = """
SELECT count(*) AS times FROM attempts WHERE call_id = $1 AND number < $2 AND verdict_digest = ANY ($3::text[])
"""
IS_CALL_OF_ANOTHER = """
SELECT EXISTS (SELECT FROM attempts WHERE provider_call_id = $1 AND attempt_id <> $2)
    OR EXISTS (SELECT FROM inbound_calls WHERE provider_call_id = $1) AS is_of_another
"""
TAKE_CHECKS = f"""
WITH due AS (
    SELECT attempt_id FROM attempts WHERE next_check_at <= $1
    ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE attempts SET next_check_at = $2 WHERE attempt_id = ANY (ARRAY(SELECT attempt_id FROM due))
RETURNING {named_columns(Attempt)}
"""


def of_person(columns: str, condition: str) -> str:
    """Select from the attempts to the phone $1 and from those to the contact $2. A row that is both comes once.

    Each of the two look-ups uses its own index. One condition with OR may read the whole table.
    """
    keys = ("phone = $1", "contact_id = $2")
    return " UNION ".join(f"SELECT {columns} FROM attempts WHERE {key} AND {condition}" for key in keys)


ATTEMPTS_POSSIBLY_RINGING = of_person("attempt_id", f"state IN {literals(POSSIBLY_RINGING)}") + " ORDER BY attempt_id"


class PostgresAttempts:
    """Implements `storage.Attempts`."""

    def __init__(self, connection: UnitConnection, rows: TrackedRows) -> None:
        self._connection = connection
        self._rows = rows

    async def get(self, attempt_id: str) -> Attempt | None:
        known = self._rows.find(Attempt, attempt_id)
        if isinstance(known, Attempt):
            return known
        record = await self._connection.read(ATTEMPT, attempt_id)
        return self._rows.remember(attempt_from(record)) if record else None

    async def latest_for(self, call_id: str) -> Attempt | None:
        record = await self._connection.read(LATEST_ATTEMPT, call_id)
        if record is None:
            return None
        known = self._rows.find(Attempt, record["attempt_id"])
        return known if isinstance(known, Attempt) else self._rows.remember(attempt_from(record))

    async def count_before(self, attempt: Attempt, verdict_digests: Sequence[str]) -> int:
        arguments = attempt.call_id, attempt.number, list(verdict_digests)
        record = await self._connection.read(COUNT_BEFORE, *arguments)
        return 0 if record is None else int(record["times"])

    async def is_call_of_another(self, provider_call_id: str, attempt_id: str) -> bool:
        record = await self._connection.read(IS_CALL_OF_ANOTHER, provider_call_id, attempt_id)
        return record is not None and bool(record["is_of_another"])

    async def possibly_ringing(self, phone: str | None, contact_id: str | None) -> list[str]:
        return [row[0] for row in await self._connection.fetch(ATTEMPTS_POSSIBLY_RINGING, phone, contact_id)]
