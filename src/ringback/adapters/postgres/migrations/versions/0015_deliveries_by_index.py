"""Indexes for the deliveries page: the waiting rows in their order, and those that failed.

The page lists the oldest rows first. Without the first index PostgreSQL reads the delivered ones of a month before it
finds the first that waits. Without the second, counting the rows that failed reads all that wait.
"""

from ringback.adapters.postgres.index_builds import build_indexes

revision = "0015"
down_revision = "0014"

_INDEXES = {
    "outbox_waiting": "outbox (id) WHERE delivered_at IS NULL AND dead_at IS NULL",
    "outbox_failing": "outbox (id) WHERE delivered_at IS NULL AND dead_at IS NULL AND last_error IS NOT NULL",
}


def upgrade() -> None:
    build_indexes(_INDEXES)
