"""Delete what nobody needs any more, in small batches, so that nothing else waits for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from ringback.domain.operations import RULES
from ringback.ports import Clock

#: Few enough that a batch takes milliseconds, and the rows it locks are old ones that nobody writes.
BATCH = 500

_log = structlog.get_logger(__name__)


class Purge(Protocol):
    async def purge_expired(self, what: str, before: datetime, limit: int) -> int:
        """Deletes up to `limit` things of a retention rule; returns how many. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """What keeping the figures of domain/operations.py needs. Any number of processes may do it at once."""

    purge: Purge
    clock: Clock

    async def purge_expired(self) -> int:
        """One batch of every rule. Returns the largest, so that a full one is followed by another."""
        now = self.clock.now()
        counts = {rule.what: await self.purge.purge_expired(rule.what, now - rule.kept, BATCH) for rule in RULES}
        if any(counts.values()):
            _log.info("retention.discarded", **{what: count for what, count in counts.items() if count})
        return max(counts.values())
