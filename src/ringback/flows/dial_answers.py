"""What each kind of answer to a dial does to the attempt; anything unclear is `unknown`, never "try again"."""

from datetime import datetime, timedelta

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, check_transition
from ringback.domain.call import Call, CallStatus, TaskStatus
from ringback.domain.call_state import close, update_status
from ringback.domain.deadlines import Deadlines
from ringback.domain.dial import DialAnswer, DialAnswerKind
from ringback.domain.outcome import Verdict, verdict_digest
from ringback.domain.watchdog import next_check_after_report, next_lookup_at
from ringback.failpoints import Failpoint, reach
from ringback.flows.announcing import announce_verdict
from ringback.flows.closing import stop_call
from ringback.flows.settling import bind
from ringback.ports import Transaction

S = AttemptState
K = DialAnswerKind

LONGEST_WAIT_S = 60.0


async def record_answer(
    tx: Transaction, call: Call, attempt: Attempt, answer: DialAnswer, deadlines: Deadlines, now: datetime
) -> None:
    """Apply the answer to a claim that still stands, or, whenever it comes, the evidence that the call was placed."""
    if answer.kind is K.PLACED:
        await _placed(tx, call, attempt, answer, deadlines, now)
    elif answer.kind is K.AMBIGUOUS or attempt.resent:
        # Whatever a resend is told, the first request may have rung.
        await become_unknown(tx, call, attempt, deadlines, now)
    elif answer.kind is K.REJECTED:
        await _rejected(tx, call, attempt, answer, now)
    else:
        await _wait(tx, call, attempt, answer, now)


async def _placed(
    tx: Transaction, call: Call, attempt: Attempt, answer: DialAnswer, deadlines: Deadlines, now: datetime
) -> None:
    assert answer.provider_call_id is not None, "a placed call has an id"
    was_bound = attempt.provider_call_id is not None
    if await bind(tx, call, attempt, answer.provider_call_id, now) and not was_bound:
        attempt.next_check_at = next_check_after_report(attempt, deadlines, now, was_polled=False)
    update_status(call, None, attempt)
    await tx.save(attempt)
    await tx.save(call)
    reach(Failpoint.ANSWER_PLACED)


async def become_unknown(tx: Transaction, call: Call, attempt: Attempt, deadlines: Deadlines, now: datetime) -> None:
    """From a claim whose outcome nobody knows. Each send, the resend too, has the whole grace before it is given up."""
    check_transition(attempt.state, S.UNKNOWN)
    attempt.state = S.UNKNOWN
    attempt.lease_until = None
    attempt.unknown_since = now
    attempt.lookups = attempt.clean_lookups = 0
    attempt.next_check_at = next_lookup_at(attempt, deadlines, now)
    update_status(call, None, attempt)
    await tx.save(attempt)
    await tx.save(call)
    reach(Failpoint.ANSWER_UNKNOWN)


async def _rejected(tx: Transaction, call: Call, attempt: Attempt, answer: DialAnswer, now: datetime) -> None:
    check_transition(attempt.state, S.REJECTED)
    attempt.state = S.REJECTED
    attempt.dial = DialFact.REJECTED
    attempt.disconnection_reason = answer.cause
    _let_go(attempt)
    verdict = Verdict(AbtType.FAILED, FailReason.REFUSED)
    task = await tx.open_task(call.call_id)
    next_at = task.due_at if task is not None else None
    id_ = await announce_verdict(tx, call, attempt, verdict, next_at, now)
    attempt.verdict_type, attempt.verdict_event_id = verdict.type, id_
    attempt.verdict_digest = verdict_digest(verdict)
    await tx.save(attempt)
    if task is None:
        was_cancelled = call.no_more_retries == FailReason.CANCELLED
        close(call, CallStatus.CANCELLED if was_cancelled else CallStatus.FAILED, id_)
    update_status(call, task, attempt)
    await tx.save(call)
    reach(Failpoint.ANSWER_REFUSED)


async def _wait(tx: Transaction, call: Call, attempt: Attempt, answer: DialAnswer, now: datetime) -> None:
    """Nothing was sent, or nothing was taken: the same attempt, number and key are claimed again, through the whole
    gate."""
    check_transition(attempt.state, S.WAITING)
    attempt.state = S.WAITING
    attempt.waits += 1
    _let_go(attempt)
    due_at = now + timedelta(seconds=answer.retry_after_s or min(2.0**attempt.waits, LONGEST_WAIT_S))
    if answer.kind is K.ACCOUNT_REFUSED:
        due_at = await tx.open_breaker(answer.cause, now)
    await tx.save(attempt)
    task = await tx.open_task(call.call_id)
    if task is None:
        task = await tx.task(attempt.task_id)
        assert task is not None, "attempts refer to their task"
        task.status, task.due_at, task.dispatched_at = TaskStatus.PENDING, due_at, None
        await tx.save(task)
    reach(Failpoint.ANSWER_WAITING)
    if call.no_more_retries:
        # A stop was asked for while the request was on its way; now it can be honoured in full.
        await stop_call(tx, call, task, attempt, _stop_reason(call.no_more_retries), now)
        return
    update_status(call, task, attempt)
    await tx.save(call)


def _stop_reason(no_more_retries: str) -> FailReason:
    return FailReason.SUPPRESSED if no_more_retries == "opt_out" else FailReason(no_more_retries)


def _let_go(attempt: Attempt) -> None:
    attempt.lease_until = attempt.next_check_at = None
    attempt.holds_person = attempt.holds_slot = False
