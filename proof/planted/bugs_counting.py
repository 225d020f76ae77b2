"""Bugs of the statistics: what is counted twice, never, or without being taken back."""

from collections.abc import Sequence
from typing import Any

from proof.planted.bug import Right, planted
from ringback.adapters.postgres.tracked_rows import Write
from ringback.domain.contribution import Row

COUNTING = "ringback.domain.contribution"
ROLLUPS = "ringback.adapters.postgres.rollups"
_COUNTED = "flows/rollups/test_counting.py::"


@planted(f"{COUNTING}:_difference", "I27", f"{_COUNTED}test_a_correction_takes_back_what_was_counted")
def a_correction_only_adds(right: Right, old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The new numbers are the right ones."""
    return list(new)


@planted(
    f"{ROLLUPS}:PostgresDeltas.take_writes",
    "I27",
    f"{_COUNTED}test_a_call_that_met_its_goal_is_counted_in_the_transaction_of_its_verdict",
)
def deltas_are_left_to_the_scheduler(right: Right, deltas: Any) -> list[Write]:
    """A number of statistics may be missing."""
    return []
