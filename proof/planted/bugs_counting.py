"""Bugs of the statistics: what is counted twice, never, or without being taken back."""

from collections.abc import Sequence
from typing import Any

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.adapters.postgres.tracked_rows import Write
from ringback.domain.contribution import Row

I27 = Invariant.I27

COUNTING = "ringback.domain.contribution"
ROLLUPS = "ringback.adapters.postgres.rollups"
_COUNTED = "flows/rollups/test_counting.py::"
_OTHERS = "flows/rollups/test_other_writers.py::"
_RACES = "flows/rollups/test_fold_races.py::"


@planted(
    f"{COUNTING}:_difference",
    aims=(I27,),
    why="The new numbers are the right ones.",
    tests=(f"{_COUNTED}test_a_correction_takes_back_what_was_counted",),
)
def a_correction_only_adds(right: Right, old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    return list(new)


a_person_counts_where_concluded_first = edited(
    f"{COUNTING}:_call_rows",
    old="parts[min(parts, key=int)][:3]",
    new="next(iter(parts.values()))[:3]",
    aims=(I27,),
    why="The parts are in order.",
    tests=("domain/test_contribution.py::test_a_call_is_counted_the_same_in_every_order_of_its_attempts",),
)

counted_is_what_it_was = edited(
    f"{COUNTING}:count_attempt",
    old="attempt.counted = row",
    new="attempt.counted = attempt.counted or row",
    aims=(I27,),
    why="It has been counted.",
    tests=(f"{_COUNTED}test_a_cost_that_comes_after_the_verdict_is_counted",),
)

a_call_is_saved_without_its_attempts = edited(
    "ringback.adapters.postgres.unit_of_work:PostgresUnitOfWork._count",
    old="self._counted.pop(row.call_id, {}).values()",
    new="()",
    aims=(I27,),
    why="The attempts are saved by themselves.",
    tests=(f"{_COUNTED}test_a_call_that_met_its_goal_is_counted_in_the_transaction_of_its_verdict",),
)


@planted(
    f"{ROLLUPS}:PostgresDeltas.take_writes",
    aims=(I27,),
    why="A number of statistics may be missing.",
    tests=(f"{_COUNTED}test_a_call_that_met_its_goal_is_counted_in_the_transaction_of_its_verdict",),
)
def deltas_are_left_to_the_scheduler(right: Right, deltas: Any) -> list[Write]:
    return []


folded_deltas_are_kept = edited(
    f"{ROLLUPS}:FOLD",
    old="DELETE FROM rollup_deltas WHERE ctid = ANY (ARRAY(SELECT ctid FROM rollup_deltas LIMIT $1)) RETURNING *",
    new="SELECT * FROM rollup_deltas LIMIT $1",
    aims=(I27,),
    why="A job deletes old deltas.",
    tests=(f"{_RACES}test_folds_beside_verdicts_lose_and_double_nothing",),
)
