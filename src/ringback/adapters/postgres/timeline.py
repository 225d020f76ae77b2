"""A call's story as the tables tell it: one statement per kind of trace it leaves."""

from datetime import datetime
from typing import Any

from ringback.adapters.postgres.pool import Connection
from ringback.domain.abt_event import iso

# Each statement takes the call id and yields `at`, `kind` and what belongs to that kind. Of entries with the same `at`
# the earlier statement's comes first: causes before effects. No phone number, no transcript, no raw body is selected.
_TRACES = (
    """SELECT s.created_at AS at, 'suppression_added' AS kind, s.suppression_id, s.source, s.reason
       FROM suppressions s JOIN calls c ON s.phone = c.phone OR s.contact_id = c.contact_id WHERE c.call_id = $1""",
    """SELECT s.lifted_at AS at, 'suppression_lifted' AS kind, s.suppression_id, s.lifted_reason AS reason
       FROM suppressions s JOIN calls c ON s.phone = c.phone OR s.contact_id = c.contact_id
       WHERE c.call_id = $1 AND s.lifted_at IS NOT NULL""",
    """SELECT accepted_at AS at, 'call_accepted' AS kind, contact_id, agent_id, expires_at
       FROM calls WHERE call_id = $1""",
    """SELECT created_at AS at, 'task_created' AS kind, task_id, kind AS task_kind,
              coalesce(due_before_hold, due_at) AS due_at, local_time, time_zone, source, reason, status, dispatch
       FROM tasks WHERE call_id = $1 ORDER BY task_id""",
    """SELECT created_at AS at, 'call_message' AS kind, payload ->> 'task_id' AS task_id,
              (payload ->> 'dispatch')::integer AS dispatch, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind = 'call_message' ORDER BY id""",
    """SELECT at, kind, attempt_id, detail FROM gate_decisions WHERE call_id = $1 ORDER BY id""",
    """SELECT placed_at AS at, 'attempt_placed' AS kind, attempt_id, number, provider_call_id
       FROM attempts WHERE call_id = $1 AND placed_at IS NOT NULL ORDER BY number""",
    """SELECT started_at AS at, 'attempt_connected' AS kind, attempt_id, number, party
       FROM attempts WHERE call_id = $1 AND started_at IS NOT NULL ORDER BY number""",
    """SELECT ended_at AS at, 'attempt_ended' AS kind, attempt_id, number, disconnection_reason, duration_ms
       FROM attempts WHERE call_id = $1 AND ended_at IS NOT NULL ORDER BY number""",
    """SELECT received_at AS at, 'provider_event' AS kind, event, fate, provider_call_id, attempt_id
       FROM provider_events WHERE call_id = $1 ORDER BY received_at""",
    """SELECT at, 'action' AS kind, action, door, reply ->> 'code' AS code, (reply ->> 'ok')::boolean AS ok
       FROM action_results WHERE call_id = $1 ORDER BY at""",
    """SELECT at, 'disposition' AS kind, code, note, attempt_id FROM dispositions WHERE call_id = $1 ORDER BY at""",
    """SELECT created_at AS at, kind, payload ->> 'type' AS type, message_id AS event_id,
              payload -> 'data' ->> 'attempt_id' AS attempt_id,
              (payload -> 'data' ->> 'sequence')::integer AS sequence, payload -> 'data' ->> 'reason' AS reason,
              (payload -> 'data' ->> 'is_final')::boolean AS is_final, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind = 'abt_event' ORDER BY id""",
    """SELECT created_at AS at, kind, message_id,
              (SELECT jsonb_agg(name) FROM json_object_keys(payload -> 'fields') AS name) AS fields,
              CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN dead_at IS NOT NULL THEN 'dead'
                   ELSE 'waiting' END AS delivery, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind NOT IN ('call_message', 'abt_event') ORDER BY id""",
)


async def read_timeline(connection: Connection, call_id: str) -> list[dict[str, Any]]:
    """The entries in order of time, each {at, kind, …}; empty for an unknown call. Absent facts are left out."""
    found: list[tuple[datetime, dict[str, Any]]] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for trace in _TRACES:
            found += [(row["at"], _entry(dict(row))) for row in await connection.fetch(trace, call_id)]
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.items() if value is not None
    }
