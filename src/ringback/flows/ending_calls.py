"""End a call that will not be dialed again: its open task, its waiting attempt, and its one final event."""

from datetime import datetime
from typing import Literal

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, awaits_verdict, check_transition
from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.domain.call import Call, CallStatus, Task, TaskStatus, close, update_status
from ringback.failpoints import Failpoint, reach
from ringback.flows.abt_events import emit_closing
from ringback.ports import Clock
from ringback.storage import Store, UnitOfWork

_STATUS = {FailReason.CANCELLED: CallStatus.CANCELLED, FailReason.EXPIRED: CallStatus.EXPIRED}
_TASK_STATUS = {FailReason.EXPIRED: TaskStatus.EXPIRED}


async def end_call(
    tx: UnitOfWork, call: Call, task: Task | None, attempt: Attempt | None, reason: FailReason, now: datetime
) -> bool:
    """Delete the call's open task and let no attempt follow.

    Returns True if the call is over, after its final event. Returns False if an attempt is in progress: its verdict
    ends the call.
    """
    if task is not None:
        task.status = _TASK_STATUS.get(reason, TaskStatus.DELETED)
        await tx.save(task)
    if awaits_verdict(attempt):
        if call.no_more_retries != FailReason.CANCELLED:
            # A cancellation forbids callbacks too, so that no later stop may replace it.
            call.no_more_retries = reason
        update_status(call, None, attempt)
        await tx.save(call)
        return False
    closing_event_id = await emit_closing(tx, call, reason, now)
    if attempt is not None and attempt.state is AttemptState.WAITING:
        check_transition(attempt.state, AttemptState.REJECTED)
        attempt.state = AttemptState.REJECTED
        attempt.dial = DialFact.NOT_DIALED
        # If a webhook proves that it rang, its verdict corrects this event.
        attempt.verdict_type, attempt.verdict_event_id = AbtType.FAILED, closing_event_id
        attempt.next_check_at = None
        await tx.save(attempt)
    close(call, _STATUS.get(reason, CallStatus.FAILED), closing_event_id)
    await tx.save(call)
    reach(Failpoint.CALL_STOPPED)
    return True


async def cancel_call(
    store: Store, clock: Clock, call_id: str, actor: Actor
) -> Literal["cancelled", "already_dispatched"] | None:
    """Cancel a call. "cancelled": it will not dial. "already_dispatched": an attempt may be ringing, and none follows.

    Returns None if there is no such call. A finished call does not change, and the result says how it ended.
    """
    async with store.transaction() as tx:
        call = await tx.lock_call(call_id, alone=True)
        now = clock.now()
        if call is None:
            return None
        if call.final:
            never_rang = call.status is CallStatus.CANCELLED or call.attempts_made == 0
            return "cancelled" if never_rang else "already_dispatched"
        task = await tx.tasks.open_for(call_id)
        attempt = await tx.attempts.latest_for(call_id)
        is_over = await end_call(tx, call, task, attempt, FailReason.CANCELLED, now)
        await tx.decisions.log(call_id, None, "cancel_asked", {"result": is_over}, now)
        result: Literal["cancelled", "already_dispatched"] = "cancelled" if is_over else "already_dispatched"
        cancelled = AuditEntry(now, actor, AuditAction.CALL_CANCELLED, f"call:{call_id}", {"result": result})
        await tx.audit.record(cancelled)
        reach(Failpoint.CANCELLED)
    return result
