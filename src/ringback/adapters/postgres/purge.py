"""One statement for each retention rule. It deletes the oldest rows first, found by index or in the order of ids."""

from datetime import datetime

from ringback.adapters.postgres.audit import PURGE_AUDIT
from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.rollups import DELTA_COLUMNS, delta_values


def _oldest(table: str, condition: str) -> str:
    """Build a DELETE of old rows. Locked rows are left for the next run."""
    return f"""
        DELETE FROM {table} WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {table} WHERE {condition} LIMIT $2 FOR UPDATE SKIP LOCKED))
    """


# The statistics keep the deleted rows, but apart: `check` recomputes only what still exists.
_FINISHED_CALLS = f"""
WITH old AS (
    SELECT call_id FROM calls WHERE final AND expires_at < $1 AND counted IS NOT NULL AND NOT recount
      -- An attempt that is still checked may yet correct the call's end.
      AND NOT EXISTS (SELECT FROM attempts WHERE attempts.call_id = calls.call_id
                        AND (next_check_at IS NOT NULL OR recount OR (verdict_type IS NOT NULL AND counted IS NULL)))
      AND NOT EXISTS (SELECT FROM outbox WHERE outbox.call_id = calls.call_id
                        AND delivered_at IS NULL AND dead_at IS NULL)
    LIMIT $2 FOR UPDATE SKIP LOCKED),
their_attempts AS (DELETE FROM attempts WHERE call_id = ANY (ARRAY(SELECT call_id FROM old)) RETURNING counted),
their_tasks AS (DELETE FROM tasks WHERE call_id = ANY (ARRAY(SELECT call_id FROM old))),
counted_rows AS (
    SELECT counted AS row FROM their_attempts WHERE counted <> '{{}}'
    UNION ALL SELECT jsonb_array_elements(counted -> 'rows') FROM calls
    WHERE call_id = ANY (ARRAY(SELECT call_id FROM old))),
moved AS (
    INSERT INTO rollup_deltas ({DELTA_COLUMNS})
    SELECT {delta_values("row", sign="-")}
    FROM counted_rows, jsonb_populate_record(NULL::rollup_deltas, counted_rows.row) AS row
    UNION ALL
    SELECT {delta_values("row", purged="true")}
    FROM counted_rows, jsonb_populate_record(NULL::rollup_deltas, counted_rows.row) AS row)
DELETE FROM calls WHERE call_id = ANY (ARRAY(SELECT call_id FROM old))
"""

STATEMENTS = {
    "delivered_call_messages": _oldest("outbox", "kind = 'call_message' AND delivered_at < $1"),
    "delivered_events_and_writes": _oldest("outbox", "kind <> 'call_message' AND delivered_at < $1"),
    "dead_outbox_rows": _oldest("outbox", "dead_at < $1"),
    # Rows that an earlier version's process delivered, and dead rows.
    "last_events_of_erased_people": _oldest("outbox", "erased AND coalesce(delivered_at, dead_at) < $1"),
    "dead_queue_messages": _oldest("queue_messages", "dead_at < $1"),
    "gate_decisions": _oldest("gate_decisions", "at < $1"),
    "provider_events": _oldest("provider_events", "received_at < $1"),
    "action_results": _oldest("action_results", "at < $1"),
    "inbound_calls": _oldest("inbound_calls", "rang_at < $1 AND released_at IS NOT NULL"),
    "notes": _oldest("notes", "at < $1"),
    "field_writes": _oldest("field_writes", "at < $1"),
    "dispositions": _oldest("dispositions", "at < $1"),
    "finished_calls": _FINISHED_CALLS,
    # OFFSET 0 keeps each look-up one by index. The planner would join whole tables.
    "contacts_without_calls": _oldest(
        "contacts",
        """updated_at < $1
        AND NOT EXISTS (SELECT FROM calls WHERE calls.contact_id = contacts.contact_id OFFSET 0)
        AND NOT EXISTS (SELECT FROM notes WHERE notes.contact_id = contacts.contact_id OFFSET 0)
        AND NOT EXISTS (SELECT FROM field_writes WHERE field_writes.contact_id = contacts.contact_id OFFSET 0)
        AND NOT EXISTS (SELECT FROM inbound_calls WHERE inbound_calls.contact_id = contacts.contact_id OFFSET 0)""",
    ),
    "erased": _oldest("erased", "erased_at < $1"),
    # A few rows a day, so there is no index.
    "console_sessions": _oldest("console_sessions", "expires_at < $1"),
    "audit": PURGE_AUDIT,
}


class PostgresPurge:
    """Implements `flows.operator.retention.Purge`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def purge_expired(self, what: str, before: datetime, limit: int) -> int:
        async with connection_of(self._pool) as connection, connection.transaction():
            # A plan for any `before` expects a third of the table to be old, and would read all of it.
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            status: str = await connection.execute(STATEMENTS[what], before, limit)
        return int(status.removeprefix("DELETE "))
