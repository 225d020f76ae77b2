"""End a call that will not be dialed again: its open task, its waiting attempt, and its one final event."""

from datetime import datetime

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, awaits_verdict, check_transition
from ringback.domain.call import Call, CallStatus, Task, TaskStatus
from ringback.domain.call_state import close, update_status
from ringback.failpoints import Failpoint, reach
from ringback.flows.announcing import announce_closing
from ringback.ports import Transaction

_STATUS = {FailReason.CANCELLED: CallStatus.CANCELLED, FailReason.EXPIRED: CallStatus.EXPIRED}
_TASK_STATUS = {FailReason.EXPIRED: TaskStatus.EXPIRED}


async def stop_call(
    tx: Transaction, call: Call, task: Task | None, attempt: Attempt | None, reason: FailReason, now: datetime
) -> bool:
    """Take the call's open task away and let nothing follow. True: the call is over and Engage is told so; False: an
    attempt is already under way, and its verdict, which nothing will follow, ends the call."""
    if task is not None:
        task.status = _TASK_STATUS.get(reason, TaskStatus.DELETED)
        await tx.save(task)
    if awaits_verdict(attempt):
        call.no_more_retries = reason
        update_status(call, None, attempt)
        await tx.save(call)
        return False
    closing_event_id = await announce_closing(tx, call, reason, now)
    if attempt is not None and attempt.state is AttemptState.WAITING:
        check_transition(attempt.state, AttemptState.REJECTED)
        attempt.state = AttemptState.REJECTED
        attempt.dial = DialFact.NOT_DIALED
        # Should a webhook prove that it rang after all, its verdict corrects this event.
        attempt.verdict_type, attempt.verdict_event_id = AbtType.FAILED, closing_event_id
        attempt.next_check_at = None
        await tx.save(attempt)
    close(call, _STATUS.get(reason, CallStatus.FAILED), closing_event_id)
    await tx.save(call)
    reach(Failpoint.CALL_STOPPED)
    return True
