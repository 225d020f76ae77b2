"""Apply the result of a dial to its attempt. An unclear result is `unknown` and never dialed again as new."""

from datetime import datetime, timedelta

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialAnswer, DialAnswerKind, DialFact, check_transition
from ringback.domain.call import Call, TaskStatus, update_status
from ringback.domain.follow_up import Deadlines, next_check_after_report, next_lookup_at
from ringback.domain.outcome import Occasion, Verdict
from ringback.failpoints import Failpoint, reach
from ringback.flows.call_outcome import OutcomeRules, apply_verdict, bind_provider_call
from ringback.flows.ending_calls import end_call
from ringback.storage import UnitOfWork

LONGEST_WAIT_S = 60.0


async def record_answer(
    tx: UnitOfWork, call: Call, attempt: Attempt, answer: DialAnswer, rules: OutcomeRules, now: datetime
) -> None:
    """Apply the answer to a claim in force, or late evidence that the call was placed."""
    if answer.kind is DialAnswerKind.PLACED:
        assert answer.provider_call_id is not None, "a placed call has an id"
        was_bound = attempt.provider_call_id is not None
        if await bind_provider_call(tx, call, attempt, answer.provider_call_id, now) and not was_bound:
            attempt.next_check_at = next_check_after_report(attempt, rules.deadlines, now, was_polled=False)
        update_status(call, None, attempt)
        await tx.save(attempt)
        await tx.save(call)
        reach(Failpoint.ANSWER_PLACED)
    elif answer.kind is DialAnswerKind.AMBIGUOUS or attempt.resent:
        # Even if a resend is rejected, the first request may have rung.
        await become_unknown(tx, call, attempt, rules.deadlines, now)
    elif answer.kind is DialAnswerKind.REJECTED:
        check_transition(attempt.state, AttemptState.REJECTED)
        attempt.state = AttemptState.REJECTED
        attempt.dial = DialFact.REJECTED
        attempt.disconnection_reason = answer.cause
        attempt.lease_until = None
        verdict = Verdict(AbtType.FAILED, FailReason.REFUSED)
        await apply_verdict(tx, call, attempt, verdict, rules, Occasion(now, is_given_up=True))
        reach(Failpoint.ANSWER_REFUSED)
    else:
        await _wait(tx, call, attempt, answer, now)


async def become_unknown(tx: UnitOfWork, call: Call, attempt: Attempt, deadlines: Deadlines, now: datetime) -> None:
    """Mark a claim with an unclear outcome. Each send, resends included, has the whole grace period."""
    check_transition(attempt.state, AttemptState.UNKNOWN)
    attempt.state = AttemptState.UNKNOWN
    attempt.lease_until = None
    attempt.unknown_since = now
    attempt.lookups = attempt.clean_lookups = 0
    attempt.next_check_at = next_lookup_at(attempt, deadlines, now)
    update_status(call, None, attempt)
    await tx.save(attempt)
    await tx.save(call)
    reach(Failpoint.ANSWER_UNKNOWN)


async def _wait(tx: UnitOfWork, call: Call, attempt: Attempt, answer: DialAnswer, now: datetime) -> None:
    """Let the attempt wait: nothing was sent, or nothing was accepted.

    The same attempt, number and key are claimed again later, after the whole eligibility check.
    """
    check_transition(attempt.state, AttemptState.WAITING)
    attempt.state = AttemptState.WAITING
    attempt.waits += 1
    attempt.lease_until = attempt.next_check_at = None
    attempt.holds_person = attempt.holds_slot = False
    due_at = now + timedelta(seconds=answer.retry_after_s or min(2.0**attempt.waits, LONGEST_WAIT_S))
    task = await tx.tasks.open_for(call.call_id)
    if answer.kind is DialAnswerKind.ACCOUNT_REFUSED:
        due_at = await tx.capacity.open_breaker(answer.cause, now)
    await tx.save(attempt)
    if task is None:
        task = await tx.tasks.get(attempt.task_id)
        assert task is not None, "attempts refer to their task"
        task.status, task.due_at, task.dispatched_at = TaskStatus.PENDING, due_at, None
        await tx.save(task)
    reach(Failpoint.ANSWER_WAITING)
    if call.no_more_retries:
        # A stop was requested during the request. Now the call can end.
        asked = call.no_more_retries
        reason = FailReason.SUPPRESSED if asked == "opt_out" else FailReason(asked)
        await end_call(tx, call, task, attempt, reason, now)
        return
    update_status(call, task, attempt)
    await tx.save(call)
