"""Indexes with which no statement reads a whole growing table.

All are built without locking writers out, so each statement may be the second try of an interrupted one. The previous
version runs on with these indexes: each one that is dropped has a successor that serves the same conditions.
"""

from ringback.adapters.postgres.index_builds import build_indexes

revision = "0009"
down_revision = "0008"

_INDEXES = {
    # The rows of one kind in the order of their delivery.
    "outbox_due": "outbox (kind, due_at, id) WHERE delivered_at IS NULL AND dead_at IS NULL",
    # The foreign key, read for each task that is deleted.
    "attempts_task": "attempts (task_id)",
    "calls_status": "calls (status, call_id)",
    # Not only of those in force: a timeline shows lifted suppressions, and an erasure deletes them.
    "suppressions_of_phone": "suppressions (phone)",
    "suppressions_of_contact": "suppressions (contact_id)",
    # Not only of those in progress: an erasure finds all, and the foreign key is read for each contact that is deleted.
    "inbound_calls_of_phone": "inbound_calls (phone)",
    "inbound_calls_of_contact": "inbound_calls (contact_id)",
    "inbound_calls_held": "inbound_calls (hold_until) WHERE released_at IS NULL",
    "action_results_contact": "action_results (contact_id)",
    "dispositions_contact": "dispositions (contact_id)",
    # For retention.
    "notes_age": "notes USING brin (at)",
    "field_writes_age": "field_writes USING brin (at)",
    "inbound_calls_age": "inbound_calls USING brin (rang_at)",
}
_SUCCEEDED = (
    "outbox_open",
    "suppressions_phone",
    "suppressions_contact",
    "inbound_calls_phone",
    "inbound_calls_contact",
)


def upgrade() -> None:
    build_indexes(_INDEXES, *(f"DROP INDEX CONCURRENTLY IF EXISTS {name}" for name in _SUCCEEDED))
