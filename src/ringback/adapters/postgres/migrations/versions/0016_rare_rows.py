"""Indexes for the rows behind numbers that are small in most installations.

A page of such rows read all attempts of its range until it had enough. An index has an entry only for a row that the
measure counts, so most verdicts write none. A person counts on the day of the first attempt, which `counted` keeps.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

_ATTEMPTS = ("unknown", "transferred", "callback", "message_left", "sentiment_negative")
_CALLS = ("persons_goal", "persons_opted_out")
_INDEXES = {
    **{f"attempts_{name}": f"attempts (sent_at, attempt_id) WHERE counted ? '{name}'" for name in _ATTEMPTS},
    # Most failures are of these two reasons, and a page of them is soon full.
    "attempts_reason": "attempts ((counted ->> 'reason'), sent_at, attempt_id) "
    "WHERE counted ->> 'reason' NOT IN ('no_answer', 'busy')",
    **{
        f"calls_{name}": "calls ((counted #>> '{rows,0,day}'), call_id) "
        f"WHERE counted -> 'rows' @> '[{{\"{name}\": 1}}]'"
        for name in _CALLS
    },
    "calls_denied": "calls (call_id) WHERE counted -> 'rows' @> '[{\"denied\": 1}]'",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build waits for every older transaction, also for a dump, and blocks no writer.
        op.execute("SET lock_timeout = 0")
        for name, definition in _INDEXES.items():
            # An interrupted build leaves an invalid index with this name.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        # Their expressions have no statistics before.
        op.execute("ANALYZE attempts, calls")
        op.execute("RESET lock_timeout")
