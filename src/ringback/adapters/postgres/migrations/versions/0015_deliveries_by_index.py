"""Indexes for the deliveries page: the waiting rows in their order, and those that failed.

The page lists the oldest rows first. Without the first index PostgreSQL reads the delivered ones of a month before it
finds the first that waits. Without the second, counting the rows that failed reads all that wait.
"""

from alembic import op

revision = "0015"
down_revision = "0014"

_INDEXES = {
    "outbox_waiting": "outbox (id) WHERE delivered_at IS NULL AND dead_at IS NULL",
    "outbox_failing": "outbox (id) WHERE delivered_at IS NULL AND dead_at IS NULL AND last_error IS NOT NULL",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build waits for every older transaction, also for a dump, and blocks no writer.
        op.execute("SET lock_timeout = 0")
        for name, definition in _INDEXES.items():
            # An interrupted build leaves an invalid index with this name.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        op.execute("RESET lock_timeout")
