"""A call's status is never set by hand: it follows from its open task, its latest attempt and how it was closed."""

from ringback.domain.abt_event import AbtType
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, CallStatus, Task

S = AttemptState

BY_VERDICT = {
    AbtType.COMPLETED: CallStatus.COMPLETED,
    AbtType.PARTIALLY_COMPLETED: CallStatus.PARTIALLY_COMPLETED,
    AbtType.LEFT_VOICEMAIL: CallStatus.LEFT_VOICEMAIL,
    AbtType.FAILED: CallStatus.FAILED,
}

_BY_STATE = {
    S.DIALING: CallStatus.DIALING,
    S.PLACED: CallStatus.DIALING,
    S.UNKNOWN: CallStatus.UNKNOWN,
    S.ONGOING: CallStatus.IN_PROGRESS,
    S.ENDED: CallStatus.IN_PROGRESS,
}


def update_status(call: Call, task: Task | None, attempt: Attempt | None) -> None:
    """Set the status of a call that is not final. A scheduled call whose task is dispatched is shown as queued."""
    if call.final:
        return
    if attempt is not None and attempt.verdict_type is None and attempt.state in _BY_STATE:
        call.status = _BY_STATE[attempt.state]
    elif task is not None:
        call.status = CallStatus.SCHEDULED


def close(call: Call, status: CallStatus, closing_event_id: str) -> None:
    """End the call with its one uncorrected final event."""
    assert call.closing_event_id is None, "a call has one uncorrected final event"
    call.status = status
    call.final = True
    call.closing_event_id = closing_event_id
