"""From facts to consequences: bind an attempt to the provider's call, announce what is known, conclude, correct."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import LIVE, Attempt, AttemptState, furthest
from ringback.domain.call import Call, CallStatus, Task, TaskKind, TaskStatus
from ringback.domain.call_event import CallReport
from ringback.domain.call_state import BY_VERDICT, close, settle_status
from ringback.domain.deadlines import Deadlines
from ringback.domain.gate import DialPolicy
from ringback.domain.outcome import Verdict, absorb, decide, verdict_digest
from ringback.domain.retrying import next_attempt_at
from ringback.domain.watchdog import analysis_is_given_up, next_check_after_report
from ringback.flows.announcing import announce_initiated, announce_started, announce_verdict, rescheduled_event_id
from ringback.flows.suppression import suppress
from ringback.flows.whereabouts import zones_of
from ringback.ports import NumberPlan, Suppression, Transaction

S = AttemptState


@dataclass(frozen=True, slots=True)
class SettlingRules:
    """What turning facts into consequences needs to know."""

    policy: DialPolicy
    deadlines: Deadlines
    numbers: NumberPlan
    new_id: Callable[[], str]


async def bind(tx: Transaction, call: Call, attempt: Attempt, provider_call_id: str, now: datetime) -> bool:
    """The one place where an attempt gets its provider call, whatever the evidence. False: it has another one already,
    which is an incident: two calls for one attempt, and the later one is stopped."""
    if attempt.provider_call_id == provider_call_id:
        return True
    if attempt.provider_call_id is not None:
        await tx.note_decision(
            call.call_id, attempt.attempt_id, "incident_second_provider_call", {"stopped": provider_call_id}, now
        )
        payload = {"call_id": call.call_id, "provider_call_id": provider_call_id}
        await tx.ask_to_leave("stop_call", f"stop:{provider_call_id}", payload, None, now)
        return False
    attempt.provider_call_id = provider_call_id
    attempt.placed_at = attempt.sent_at
    attempt.lease_until = None
    if attempt.state is not S.DIALING:
        await _drop_second_dial(tx, attempt)
    attempt.state = furthest(attempt.state, S.PLACED)
    attempt.dial = None  # of an attempt that Retell had refused; the evidence says otherwise
    attempt.holds_slot = True
    await announce_initiated(tx, call, attempt, now)
    return True


async def _drop_second_dial(tx: Transaction, attempt: Attempt) -> None:
    """The task that would dial or resend this attempt again has found its call."""
    task = await tx.open_task(attempt.call_id)
    if task is not None and task.task_id == attempt.task_id:
        task.status = TaskStatus.CONSUMED
        await tx.save(task)


async def apply_report(
    tx: Transaction, call: Call, attempt: Attempt, report: CallReport, rules: SettlingRules, now: datetime
) -> None:
    """Everything that follows from one report about a bound attempt; the caller saves nothing."""
    was_polled = report.status is not None and report.kind == "snapshot"
    absorb(attempt, report)
    await announce_started(tx, call, attempt, now)
    gave_up = was_polled and analysis_is_given_up(attempt, rules.deadlines, now)
    await _suppress_after_opt_out(tx, call, attempt, rules, now)
    verdict = decide(attempt, was_polled=was_polled, gave_up=gave_up)
    if verdict is not None:
        await conclude(tx, call, attempt, verdict, rules, now)
    attempt.holds_slot = attempt.state in LIVE
    _hold_person(attempt, rules.deadlines, now)
    attempt.next_check_at = next_check_after_report(attempt, rules.deadlines, now, was_polled=was_polled)
    await _save(tx, call, attempt)


def _hold_person(attempt: Attempt, deadlines: Deadlines, now: datetime) -> None:
    """The person stays held until the verdict, or until the analysis deadline after the end: an opt-out may be in it."""
    if attempt.verdict_type is not None:
        attempt.holds_person = False
    elif attempt.state is S.ENDED and attempt.ended_at is not None:
        attempt.holds_person = attempt.holds_person and now < attempt.ended_at + timedelta(seconds=deadlines.analysis_s)


async def _save(tx: Transaction, call: Call, attempt: Attempt) -> None:
    settle_status(call, await tx.open_task(call.call_id), attempt)
    await tx.save(attempt)
    await tx.save(call)


async def _suppress_after_opt_out(
    tx: Transaction, call: Call, attempt: Attempt, rules: SettlingRules, now: datetime
) -> None:
    if not attempt.business.get("opt_out") or call.no_more_retries == "opt_out":
        return
    if not await tx.is_suppressed(call.phone, call.contact_id):
        suppression = Suppression(rules.new_id(), call.phone, call.contact_id, "opt_out", "provider", now)
        await suppress(tx, suppression, now, in_hand=call)
    call.no_more_retries = "opt_out"


async def conclude(
    tx: Transaction, call: Call, attempt: Attempt, verdict: Verdict, rules: SettlingRules, now: datetime
) -> None:
    """Announce the verdict, or its correction, and what follows from it. A verdict announced before is left alone."""
    digest = verdict_digest(verdict)
    if attempt.verdict_digest == digest:
        return
    task = await tx.open_task(call.call_id)
    is_correction = attempt.verdict_type is not None
    if not is_correction and _callback_stands(task, attempt) and verdict.type is not AbtType.COMPLETED:
        assert task is not None, "a standing callback is an open task"
        # The promised callback is how this attempt ended; its `rescheduled` has been announced.
        attempt.verdict_type = AbtType.RESCHEDULED
        attempt.verdict_event_id = rescheduled_event_id(task)
        attempt.verdict_digest = digest
        return
    if is_correction:
        task = await _cancel_retry(tx, task, verdict)
    elif task is None:
        task = await _plan_retry(tx, call, attempt, verdict, rules, now)
    next_at = task.due_at if task is not None else None
    id_ = await announce_verdict(tx, call, attempt, verdict, next_at, now)
    attempt.verdict_type, attempt.verdict_event_id, attempt.verdict_digest = verdict.type, id_, digest
    _close_or_reclose(call, verdict, id_, is_over=task is None)


def _callback_stands(task: Task | None, attempt: Attempt) -> bool:
    return task is not None and task.kind is TaskKind.CALLBACK and task.from_attempt == attempt.attempt_id


async def _cancel_retry(tx: Transaction, task: Task | None, verdict: Verdict) -> Task | None:
    """A correction may cancel a pending retry, never create one; a callback somebody asked for stands."""
    if task is None or task.kind is not TaskKind.RETRY or verdict.reason in ("no_answer", "busy", "capacity"):
        return task
    task.status = TaskStatus.DELETED
    await tx.save(task)
    return None


async def _plan_retry(
    tx: Transaction, call: Call, attempt: Attempt, verdict: Verdict, rules: SettlingRules, now: datetime
) -> Task | None:
    if verdict.reason is FailReason.CAPACITY:
        # The provider had no room: that try is not counted against the call's budget.
        call.budget_used -= 1
    if attempt.placed_at is None or await tx.is_suppressed(call.phone, call.contact_id):
        return None
    contact = await tx.contact(call.contact_id)
    assert contact is not None, "calls refer to a contact"
    zones = zones_of(contact, call.phone, rules.numbers)
    due_at = next_attempt_at(call, attempt, verdict, rules.policy.calling_hours, zones)
    if due_at is None:
        return None
    task = Task(rules.new_id(), call.call_id, TaskKind.RETRY, due_at, created_at=now)
    await tx.insert(task)
    return task


def _close_or_reclose(call: Call, verdict: Verdict, id_: str, *, is_over: bool) -> None:
    if not is_over:
        return
    status = BY_VERDICT[verdict.type]
    if verdict.reason is FailReason.OUTCOME_UNKNOWN:
        status = CallStatus.ABANDONED
    elif call.no_more_retries == FailReason.CANCELLED and verdict.is_failure:
        status = CallStatus.CANCELLED
    if call.final:
        # A correction of the attempt that closed the call: its event stands in for the corrected one.
        call.status, call.closing_event_id = status, id_
        return
    close(call, status, id_)
