"""A lease of an outbox row or of a queue's message changes no index.

PostgreSQL updates a row within its page, without its indexes, if no indexed column changes (a HOT update). `due_at` and
`visible_at` remain the truth of both versions, and leases move them. The indexes have `ready_at` instead, a time at
which the row was due already and may be again. It moves only when a row has to wait.

The previous version does not set `ready_at`, so its rows are read first, and are filtered by the truth. While both
versions run, its own statements find their rows by the queue or the kind, and sort them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_INDEXES = {
    "outbox_ready": "outbox (kind, ready_at, id) WHERE delivered_at IS NULL AND dead_at IS NULL",
    "queue_messages_ready": "queue_messages (queue, ready_at) WHERE dead_at IS NULL",
}
_SUCCEEDED = ("outbox_due", "queue_messages_waiting")
_KINDS = ("call_message", "abt_event", "crm_fields", "crm_note", "stop_call")
# Without it, each pass would read every row that waits for a receiver which has been unavailable for hours.
_WAITING = """
WITH waiting AS (
    SELECT id FROM outbox
    WHERE kind = :kind AND delivered_at IS NULL AND dead_at IS NULL AND ready_at = '-infinity'
      AND due_at > clock_timestamp()
    ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED)
UPDATE outbox SET ready_at = due_at WHERE id = ANY (ARRAY(SELECT id FROM waiting))
"""


def upgrade() -> None:
    # Each statement is a transaction of its own, so that none holds its lock while another waits.
    with op.get_context().autocommit_block():
        # Room in each page for a second version of its rows. Those of a queue live for seconds.
        for table, fill_percent in (("outbox", 70), ("queue_messages", 50)):
            # A constant default is kept in the catalogue: no row is rewritten.
            column = "ready_at timestamptz NOT NULL DEFAULT '-infinity'"
            op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {fill_percent})")
        op.execute("COMMENT ON COLUMN outbox.ready_at IS 'at most due_at; a lease moves due_at alone'")
        op.execute(
            "COMMENT ON COLUMN queue_messages.ready_at IS 'at most visible_at; a receive moves visible_at alone'"
        )
        # A build waits for every older transaction, also for a dump, and blocks no writer.
        op.execute("SET lock_timeout = 0")
        for name, definition in _INDEXES.items():
            # An interrupted build leaves an invalid index with this name.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        for kind in _KINDS:
            while op.get_bind().execute(sa.text(_WAITING), {"kind": kind}).rowcount:
                pass
        for name in _SUCCEEDED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute("RESET lock_timeout")
