"""Keep the statistics up to date: count rows that no unit of work has counted, and fold deltas into the rollups."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ringback.failpoints import Failpoint, reach
from ringback.ports import Clock

#: Deltas in one fold. It takes tens of milliseconds, and nothing else writes a rollup.
FOLDED_TOGETHER = 5000
#: Calls in one transaction. Their rows are locked meanwhile, and those that others have locked are skipped.
COUNTED_TOGETHER = 200


class RollupRows(Protocol):
    async def count_uncounted(self, limit: int) -> int:
        """Count concluded attempts and ended calls that a migration or the previous version has left. Returns how many
        calls. Raises StoreUnavailable."""
        ...

    async def fold(self, limit: int) -> int | None:
        """Add up to `limit` deltas to the rollups, and delete them. Returns how many, None if another process folds
        now. Raises StoreUnavailable."""
        ...

    async def check(self) -> Sequence[object]:
        """Recompute every number from its rows. Returns the cells that differ. Raises StoreUnavailable."""
        ...


@dataclass(slots=True)
class Rollups:
    """The flow of the scheduler's two jobs. Processes may run it at the same time: only one folds.

    `folded_at_s` is the monotonic time at which the last complete fold began. Every delta of before it is folded.
    """

    rows: RollupRows
    clock: Clock
    folded_at_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.folded_at_s = self.clock.monotonic()

    async def count_uncounted(self) -> int:
        return await self.rows.count_uncounted(COUNTED_TOGETHER)

    async def differing_cells(self) -> int:
        return len(await self.rows.check())

    async def fold_deltas(self) -> int:
        began_at_s = self.clock.monotonic()
        folded = await self.rows.fold(FOLDED_TOGETHER)
        if folded is not None and folded < FOLDED_TOGETHER:
            self.folded_at_s = began_at_s
        if folded:
            reach(Failpoint.ROLLUP_FOLD_COMMITTED)
        return folded or 0

    def delta_age_s(self) -> float:
        """Return the age of the oldest delta that is not folded, at most: the time since the last complete fold."""
        return self.clock.monotonic() - self.folded_at_s
