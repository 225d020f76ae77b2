"""The clock's work: release what is due, publish again what was lost, end what has expired."""

from dataclasses import dataclass
from datetime import timedelta

from ringback.domain.abt_event import FailReason
from ringback.flows.closing import is_under_way, stop_call
from ringback.ports import Clock, MessageQueue, Store

BATCH = 500
#: A dispatch is suspected lost after this long, if the queue has nothing waiting …
LOST_AFTER = timedelta(seconds=60)
#: … and for certain after this long: a queue that is merely slow must not be fed the same work again and again.
LOST_FOR_CERTAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ScheduledCalls:
    """What the clock needs."""

    store: Store
    clock: Clock
    call_queue: MessageQueue

    async def release_due_calls(self) -> int:
        """Tasks whose time has come become messages. Returns how many."""
        return await self.store.release_due(self.clock.now(), BATCH)

    async def publish_lost_calls(self) -> int:
        """Messages that the queue seems to have lost go out under a new dispatch, which the old one cannot consume."""
        now = self.clock.now()
        patience = LOST_AFTER if await self.call_queue.depth() == 0 else LOST_FOR_CERTAIN_AFTER
        return await self.store.redispatch_lost(now - patience, now, BATCH)

    async def end_expired_calls(self) -> int:
        """Calls whose time is over without an attempt under way end as expired. Returns how many."""
        now = self.clock.now()
        expired = await self.store.calls_past_expiry(now, BATCH)
        for call_id in expired:
            async with self.store.transaction() as tx:
                call = await tx.lock_call(call_id)
                if call is None or call.final or call.expires_at > now:
                    continue
                attempt = await tx.latest_attempt(call_id)
                if is_under_way(attempt):
                    continue
                await stop_call(tx, call, await tx.open_task(call_id), attempt, FailReason.EXPIRED, now)
        return len(expired)
