"""Release due calls, publish lost messages again, and end expired calls."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ringback.batching import run_concurrently
from ringback.domain.abt_event import FailReason
from ringback.domain.attempt import awaits_verdict
from ringback.failpoints import Failpoint, reach
from ringback.flows.ending_calls import end_call
from ringback.ports import Clock, MessageQueue
from ringback.storage import DueWork, Store

BATCH = 500
ENDED_AT_ONCE = 4
#: A dispatch is suspected lost after this long, if the queue has nothing waiting …
LOST_AFTER = timedelta(seconds=60)
#: … and is certainly lost after this long. A slow queue must not get the same work again and again.
LOST_FOR_CERTAIN_AFTER = timedelta(hours=1)


class SchedulingStore(Store, DueWork, Protocol):
    """A store that finds due work."""


@dataclass(frozen=True, slots=True)
class ScheduledCalls:
    """The flow of the scheduler."""

    store: SchedulingStore
    clock: Clock
    call_queue: MessageQueue
    most_dispatched: int = BATCH  # see `DialPolicy.most_dispatched`

    async def release_due_calls(self) -> int:
        """Release due tasks as messages. Returns their number."""
        released = await self.store.release_due(self.clock.now(), BATCH, self.most_dispatched)
        if released:
            reach(Failpoint.DUE_RELEASED)
        return released

    async def publish_lost_calls(self) -> int:
        """Publish lost messages again under a new dispatch. The old message cannot consume it. Returns their number."""
        now = self.clock.now()
        lost_after = LOST_AFTER if await self.call_queue.depth() == 0 else LOST_FOR_CERTAIN_AFTER
        published = await self.store.redispatch_lost(now - lost_after, now, BATCH)
        if published:
            reach(Failpoint.LOST_PUBLISHED)
        return published

    async def end_expired_calls(self) -> int:
        """End expired calls without an attempt in progress. Returns their number."""
        expired = await self.store.calls_past_expiry(self.clock.now(), BATCH)
        await run_concurrently(self._end_expired, expired, at_once=ENDED_AT_ONCE)
        return len(expired)

    async def _end_expired(self, call_id: str) -> None:
        async with self.store.transaction() as tx:
            call = await tx.lock_call(call_id)
            now = self.clock.now()
            if call is None or call.final or call.expires_at > now:
                return
            attempt = await tx.attempts.latest_for(call_id)
            if not awaits_verdict(attempt):
                await end_call(tx, call, await tx.tasks.open_for(call_id), attempt, FailReason.EXPIRED, now)
                await tx.decisions.log(call_id, None, "expired", {}, now)
                reach(Failpoint.EXPIRED)
