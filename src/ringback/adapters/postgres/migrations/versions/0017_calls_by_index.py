"""Indexes for the lists of calls by reason, number and agent, in the order of the lists.

Without them the list of a rare one reads every call before it finds the first that matches.
"""

from ringback.adapters.postgres.index_builds import build_indexes

revision = "0017"
down_revision = "0016"

_INDEXES = {
    "calls_reason": "calls (reason, call_id) WHERE reason IS NOT NULL",
    "calls_from_number": "calls (from_number, call_id)",
    "calls_agent": "calls (agent_id, call_id)",
}


def upgrade() -> None:
    build_indexes(_INDEXES)
