"""Keep the statistics up to date: count rows that no unit of work has counted, and fold deltas into the rollups."""

from dataclasses import dataclass
from typing import Protocol

from ringback.failpoints import Failpoint, reach

#: Deltas in one fold. It takes tens of milliseconds, and nothing else writes a rollup.
FOLDED_TOGETHER = 5000
#: Calls in one transaction. Their rows are locked meanwhile, and those that others have locked are skipped.
COUNTED_TOGETHER = 200


class RollupRows(Protocol):
    async def count_uncounted(self, limit: int) -> int:
        """Count concluded attempts and ended calls that a migration or the previous version has left. Returns how many
        calls. Raises StoreUnavailable."""
        ...

    async def fold(self, limit: int) -> int:
        """Add up to `limit` deltas to the rollups, and delete them. Returns how many. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Rollups:
    """The flow of the scheduler's two jobs. Processes may run it at the same time: only one folds."""

    rows: RollupRows

    async def count_uncounted(self) -> int:
        return await self.rows.count_uncounted(COUNTED_TOGETHER)

    async def fold_deltas(self) -> int:
        folded = await self.rows.fold(FOLDED_TOGETHER)
        if folded:
            reach(Failpoint.ROLLUP_FOLD_COMMITTED)
        return folded
