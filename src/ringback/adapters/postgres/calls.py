"""The SQL of `calls`."""

from ringback.adapters.postgres.rows import literals, named_columns
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.attempt import SHOWN_AS_STATUS
from ringback.domain.call import OPEN_TASK, Call

CALL_FOR_UPDATE = f"SELECT {named_columns(Call)} FROM calls WHERE call_id = $1 FOR UPDATE"
PERSON_OF_CALL = "SELECT phone, contact_id FROM calls WHERE call_id = $1"
# In the order in which all processes lock the contacts.
UNFINISHED_CALLS = """
SELECT ARRAY(
    SELECT call_id FROM calls WHERE NOT final AND (phone = $1 OR contact_id = $2) ORDER BY contact_id, call_id
) AS call_ids
"""
PHONES_OF_OPEN_CALLS = """
SELECT DISTINCT phone FROM calls WHERE NOT final AND (phone = $1 OR contact_id = $2)
UNION SELECT $1 WHERE $1 IS NOT NULL ORDER BY 1
"""
# The likely reason of an inbound call: the contact's call that is due next, else the last one.
NEXT_OR_LAST_CALL = f"""
SELECT calls.call_id FROM calls
LEFT JOIN tasks ON tasks.call_id = calls.call_id AND tasks.status IN {literals(OPEN_TASK)}
WHERE calls.contact_id = $1
ORDER BY calls.final, coalesce(tasks.due_before_hold, tasks.due_at) NULLS LAST, calls.call_id DESC LIMIT 1
"""
# A call whose attempt is in progress is ended by that attempt's verdict, never by its expiry.
# Not NOT EXISTS: the planner may join every attempt to answer that.
PAST_EXPIRY = f"""
SELECT call_id FROM calls WHERE NOT final AND expires_at <= $1
  AND (SELECT attempt_id FROM attempts WHERE attempts.call_id = calls.call_id AND verdict_type IS NULL
         AND state IN {literals(SHOWN_AS_STATUS)} LIMIT 1) IS NULL
ORDER BY expires_at LIMIT $2
"""


class PostgresCalls:
    """Implements `storage.Calls`."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection

    async def person_of(self, call_id: str) -> tuple[str, str] | None:
        record = await self._connection.read(PERSON_OF_CALL, call_id)
        return (record["phone"], record["contact_id"]) if record else None

    async def unfinished_of(self, phone: str | None, contact_id: str | None) -> list[str]:
        record = await self._connection.read(UNFINISHED_CALLS, phone, contact_id)
        assert record is not None, "an array is one row"
        return list(record["call_ids"])

    async def phones_of_open(self, phone: str | None, contact_id: str | None) -> list[str]:
        return [row[0] for row in await self._connection.fetch(PHONES_OF_OPEN_CALLS, phone, contact_id)]

    async def next_or_last_of(self, contact_id: str) -> str | None:
        found: str | None = await self._connection.fetchval(NEXT_OR_LAST_CALL, contact_id)
        return found
