"""Indexes for the rows behind numbers that are small in most installations.

A page of such rows read all attempts of its range until it had enough. An index has an entry only for a row that the
measure counts, so most verdicts write none. A person counts on the day of the first attempt, which `counted` keeps.
"""

from ringback.adapters.postgres.index_builds import build_indexes

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
    # Their expressions have no statistics before.
    build_indexes(_INDEXES, "ANALYZE attempts, calls")
