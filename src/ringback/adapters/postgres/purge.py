"""One statement for each retention rule. It deletes the oldest rows first, found by index or in the order of ids."""

from datetime import datetime

from ringback.adapters.postgres.pool import Pool, connection_of


def _oldest(table: str, key: str, condition: str) -> str:
    """Build a DELETE of old rows. Locked rows are left for the next run."""
    return f"""
        WITH old AS (SELECT {key} FROM {table} WHERE {condition} LIMIT $2 FOR UPDATE SKIP LOCKED)
        DELETE FROM {table} USING old WHERE ({", ".join(f"{table}.{name}" for name in key.split(", "))})
            = ({", ".join(f"old.{name}" for name in key.split(", "))})
    """


_FINISHED_CALLS = """
WITH old AS (
    SELECT call_id FROM calls WHERE final AND expires_at < $1
      -- An attempt that is still checked may yet correct the call's end.
      AND NOT EXISTS (SELECT FROM attempts WHERE attempts.call_id = calls.call_id AND next_check_at IS NOT NULL)
      AND NOT EXISTS (SELECT FROM outbox WHERE outbox.call_id = calls.call_id
                        AND delivered_at IS NULL AND dead_at IS NULL)
    LIMIT $2 FOR UPDATE SKIP LOCKED),
their_attempts AS (DELETE FROM attempts USING old WHERE attempts.call_id = old.call_id),
their_tasks AS (DELETE FROM tasks USING old WHERE tasks.call_id = old.call_id)
DELETE FROM calls USING old WHERE calls.call_id = old.call_id
"""

STATEMENTS = {
    "delivered_call_messages": _oldest("outbox", "id", "kind = 'call_message' AND delivered_at < $1"),
    "delivered_events_and_writes": _oldest("outbox", "id", "kind <> 'call_message' AND delivered_at < $1"),
    "dead_outbox_rows": _oldest("outbox", "id", "dead_at < $1"),
    # Rows that an earlier version's process delivered, and dead rows.
    "last_events_of_erased_people": _oldest("outbox", "id", "erased AND coalesce(delivered_at, dead_at) < $1"),
    "dead_queue_messages": _oldest("queue_messages", "id", "dead_at < $1"),
    "gate_decisions": _oldest("gate_decisions", "id", "at < $1"),
    "provider_events": _oldest("provider_events", "provider_call_id, event, content_hash", "received_at < $1"),
    "action_results": _oldest("action_results", "door, key", "at < $1"),
    "inbound_calls": _oldest("inbound_calls", "inbound_id", "rang_at < $1 AND released_at IS NOT NULL"),
    "notes": _oldest("notes", "note_id", "at < $1"),
    "field_writes": _oldest("field_writes", "write_id, field", "at < $1"),
    "dispositions": _oldest("dispositions", "disposition_id", "at < $1"),
    "finished_calls": _FINISHED_CALLS,
    "contacts_without_calls": _oldest(
        "contacts",
        "contact_id",
        """updated_at < $1
        AND NOT EXISTS (SELECT FROM calls WHERE calls.contact_id = contacts.contact_id)
        AND NOT EXISTS (SELECT FROM notes WHERE notes.contact_id = contacts.contact_id)
        AND NOT EXISTS (SELECT FROM field_writes WHERE field_writes.contact_id = contacts.contact_id)
        AND NOT EXISTS (SELECT FROM inbound_calls WHERE inbound_calls.contact_id = contacts.contact_id)""",
    ),
    "erased": _oldest("erased", "mark", "erased_at < $1"),
}


class PostgresPurge:
    """Implements `flows.operator.retention.Attic`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def purge_expired(self, what: str, before: datetime, limit: int) -> int:
        async with connection_of(self._pool) as connection:
            status: str = await connection.execute(STATEMENTS[what], before, limit)
        return int(status.removeprefix("DELETE "))
