"""Cancel a call: what is acknowledged as cancelled will not dial."""

from typing import Literal

from ringback.domain.abt_event import FailReason
from ringback.domain.call import CallStatus
from ringback.failpoints import Failpoint, reach
from ringback.flows.closing import stop_call
from ringback.ports import Clock, Store


async def cancel_call(store: Store, clock: Clock, call_id: str) -> Literal["cancelled", "already_dispatched"] | None:
    """None: no such call. `already_dispatched`: an attempt may be ringing; nothing follows it. Cancelling a call that
    is over changes nothing and answers as it ended."""
    now = clock.now()
    async with store.transaction() as tx:
        call = await tx.lock_call(call_id)
        if call is None:
            return None
        if call.final:
            never_rang = call.status is CallStatus.CANCELLED or call.attempts_made == 0
            return "cancelled" if never_rang else "already_dispatched"
        task = await tx.open_task(call_id)
        attempt = await tx.latest_attempt(call_id)
        is_over = await stop_call(tx, call, task, attempt, FailReason.CANCELLED, now)
        await tx.log_decision(call_id, None, "cancel_asked", {"result": is_over}, now)
        reach(Failpoint.CANCELLED)
    return "cancelled" if is_over else "already_dispatched"
