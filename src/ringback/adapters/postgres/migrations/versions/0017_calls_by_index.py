"""Indexes for the lists of calls by reason, number and agent, in the order of the lists.

Without them the list of a rare one reads every call before it finds the first that matches.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

_INDEXES = {
    "calls_reason": "calls (reason, call_id) WHERE reason IS NOT NULL",
    "calls_from_number": "calls (from_number, call_id)",
    "calls_agent": "calls (agent_id, call_id)",
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
