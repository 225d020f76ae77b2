"""Delete expired rows in small batches, so that no other work waits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from ringback.domain.operations import RULES
from ringback.ports import Clock

#: A batch of this size takes milliseconds. It locks old rows that no process writes.
BATCH = 500

_log = structlog.get_logger(__name__)


class Purge(Protocol):
    async def purge_expired(self, what: str, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows of a retention rule. Returns their number. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """The flow that applies the retention rules of domain/operations.py. Processes may run it at the same time."""

    purge: Purge
    clock: Clock

    async def purge_expired(self) -> int:
        """Purge one batch of every rule. Returns the largest count: another batch follows a full one."""
        now = self.clock.now()
        counts = {rule.what: await self.purge.purge_expired(rule.what, now - rule.kept, BATCH) for rule in RULES}
        if any(counts.values()):
            _log.info("retention.discarded", **{what: count for what, count in counts.items() if count})
        return max(counts.values())
