"""From facts to consequences: bind an attempt to the provider's call, announce what is known, conclude, correct."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import USES_SLOT, Attempt, AttemptState, awaits_verdict, furthest
from ringback.domain.call import Call, CallStatus, Task, TaskKind, TaskStatus
from ringback.domain.call_event import CallReport, ReportKind
from ringback.domain.call_state import BY_VERDICT, close, update_status
from ringback.domain.deadlines import Deadlines
from ringback.domain.eligibility import DialPolicy
from ringback.domain.number_plan import NumberPlan
from ringback.domain.outcome import (
    PROVIDER_LOST_DIGEST,
    Verdict,
    absorb,
    decide,
    is_final,
    occurred_at,
    verdict_digest,
)
from ringback.domain.retrying import next_attempt_at
from ringback.domain.watchdog import analysis_is_given_up, next_check_after_report
from ringback.failpoints import Failpoint, reach
from ringback.flows.announcing import (
    Outlook,
    announce_end,
    announce_initiated,
    announce_started,
    rescheduled_event_id,
)
from ringback.flows.suppression import suppress
from ringback.flows.whereabouts import zones_of
from ringback.ports import Suppression, Transaction

S = AttemptState
_log = structlog.get_logger(__name__)

#: Such a verdict is announced once; it knows nothing that could correct another.
_FOR_WANT_OF_FACTS = (FailReason.OUTCOME_UNKNOWN, FailReason.PROVIDER_LOST)


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """What turning facts into consequences needs to know."""

    policy: DialPolicy
    deadlines: Deadlines
    numbers: NumberPlan
    new_id: Callable[[], str]


async def bind(tx: Transaction, call: Call, attempt: Attempt, provider_call_id: str, now: datetime) -> bool:
    """Attach the provider's call to the attempt. Every source of evidence goes through here.

    Returns False if the attempt already has a different provider call: an incident, and the new call is stopped. Also
    if the provider's call is another attempt's or a call to us: then it is left alone, whatever its metadata claims.
    And if the attempt's person was erased.
    """
    if attempt.is_erased:
        _log.warning("attempt.erased", attempt_id=attempt.attempt_id)
        return False
    if attempt.provider_call_id == provider_call_id:
        return True
    if await tx.is_call_of_another(provider_call_id, attempt.attempt_id):
        claim = {"provider_call_id": provider_call_id}
        await tx.log_decision(call.call_id, attempt.attempt_id, "claim_on_another_call", claim, now)
        _log.error("attempt.call_claimed", attempt_id=attempt.attempt_id, provider_call_id=provider_call_id)
        return False
    if attempt.provider_call_id is not None:
        await tx.log_decision(
            call.call_id, attempt.attempt_id, "incident_second_provider_call", {"stopped": provider_call_id}, now
        )
        payload = {"call_id": call.call_id, "provider_call_id": provider_call_id}
        await tx.enqueue("stop_call", f"stop:{provider_call_id}", payload, None, now)
        _log.error("attempt.second_provider_call", attempt_id=attempt.attempt_id, provider_call_id=provider_call_id)
        return False
    attempt.provider_call_id = provider_call_id
    attempt.placed_at = attempt.sent_at
    attempt.lease_until = None
    if attempt.state is not S.DIALING:
        await _drop_second_dial(tx, attempt)
    if not attempt.holds_person:
        person = await tx.person_facts(call, attempt.attempt_id, now)
        attempt.holds_person = person.held_by_attempt is None
    attempt.state = furthest(attempt.state, S.PLACED)
    # Of an attempt that Retell had rejected, or that was stopped while it waited; the evidence says otherwise.
    attempt.dial = attempt.disconnection_reason = attempt.verdict_digest = None
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
    tx: Transaction, call: Call, attempt: Attempt, report: CallReport, rules: OutcomeRules, now: datetime
) -> None:
    """Everything that follows from one report about a bound attempt; the caller saves nothing."""
    was_polled = report.kind is ReportKind.SNAPSHOT and report.status is not None
    if attempt.verdict_digest == PROVIDER_LOST_DIGEST:
        attempt.verdict_digest = None  # it was not lost after all
    absorb(attempt, report)
    if attempt.business.get("opt_out"):
        await tx.save(attempt)  # because what ends the person's calls reads it anew
        await suppress_after_opt_out(tx, call, occurred_at(attempt), rules, now)
    gave_up = was_polled and analysis_is_given_up(attempt, rules.deadlines, now)
    verdict = decide(attempt, was_polled=was_polled, gave_up=gave_up)
    if attempt.started_at is not None or was_polled or verdict is not None:
        # Else another report may still say when it started, and each order of the two must tell Engage the same.
        await announce_started(tx, call, attempt, now)
    if verdict is not None:
        await conclude(tx, call, attempt, verdict, rules, now)
    attempt.holds_slot = attempt.state in USES_SLOT
    _hold_person(attempt, rules.deadlines, now)
    attempt.next_check_at = next_check_after_report(attempt, rules.deadlines, now, was_polled=was_polled)
    if attempt.connected and not attempt.started_event:
        attempt.next_check_at = now
    await _save(tx, call, attempt)


def _hold_person(attempt: Attempt, deadlines: Deadlines, now: datetime) -> None:
    """Held until the verdict, or until the analysis deadline after the end: an opt-out may be in the analysis."""
    if is_final(attempt):
        attempt.holds_person = False
    elif attempt.state is S.ENDED:
        assert attempt.placed_at is not None, "an ended attempt was placed"
        ended_at = attempt.ended_at or attempt.placed_at + timedelta(seconds=deadlines.max_call_s)
        attempt.holds_person = attempt.holds_person and now < ended_at + timedelta(seconds=deadlines.analysis_s)


async def _save(tx: Transaction, call: Call, attempt: Attempt) -> None:
    if attempt.number == call.attempts_made:
        update_status(call, await tx.open_task(call.call_id), attempt)
    await tx.save(attempt)
    await tx.save(call)


async def suppress_after_opt_out(
    tx: Transaction, call: Call, asked_at: datetime, rules: OutcomeRules, now: datetime
) -> None:
    """The person said so during the call, to the provider's own detection. Said once, it is written once."""
    if call.no_more_retries == "opt_out":
        return
    # Each asked for alone: one that is suppressed already must not leave the other open.
    if not (await tx.is_suppressed(call.phone, "") and await tx.is_suppressed("", call.contact_id)):
        suppression = Suppression(rules.new_id(), call.phone, call.contact_id, "opt_out", "provider", asked_at)
        await suppress(tx, suppression, now, in_hand=call)
    call.no_more_retries = "opt_out"


async def conclude(
    tx: Transaction, call: Call, attempt: Attempt, verdict: Verdict, rules: OutcomeRules, now: datetime
) -> None:
    """Announce the verdict, or its correction, and what follows from it. A verdict announced before is left alone."""
    digest = verdict_digest(verdict)
    if attempt.verdict_digest == digest:
        return
    if attempt.verdict_type is not None and verdict.reason in _FOR_WANT_OF_FACTS:
        attempt.verdict_digest = digest
        return
    task = await tx.open_task(call.call_id)
    if task is not None and _ends_as_rescheduled(task, attempt, verdict):
        # The promised callback is how this attempt ended; its `rescheduled` has been announced.
        attempt.verdict_type, attempt.verdict_event_id = AbtType.RESCHEDULED, rescheduled_event_id(task)
        attempt.verdict_digest = digest
        return
    if attempt.verdict_type is not None:
        task = await _cancel_retry(tx, call, task, verdict)
    elif task is None and attempt.number == call.attempts_made and not call.final:
        task = await _plan_retry(tx, call, attempt, verdict, rules, now)
    outlook = Outlook(task.due_at if task else None, is_final=await _is_last_word(tx, call, attempt, task))
    id_ = await announce_end(tx, call, attempt, verdict, outlook, now)
    attempt.verdict_type, attempt.verdict_event_id, attempt.verdict_digest = verdict.type, id_, digest
    reach(Failpoint.VERDICT_ANNOUNCED)
    if outlook.is_final:
        _close_or_reclose(call, verdict, id_)


def _ends_as_rescheduled(task: Task, attempt: Attempt, verdict: Verdict) -> bool:
    """The callback that the agent promised in this attempt still stands, and the goal was not met."""
    stands = task.kind is TaskKind.CALLBACK and task.from_attempt == attempt.attempt_id
    return stands and verdict.type is not AbtType.COMPLETED and attempt.verdict_type in (None, AbtType.RESCHEDULED)


async def _is_last_word(tx: Transaction, call: Call, attempt: Attempt, task: Task | None) -> bool:
    """Whether the attempt's verdict ends the call, or corrects the event that did. An analysis can come so late that
    the next attempt is under way already; then that one's verdict ends it."""
    if call.final:
        return attempt.verdict_event_id is not None and attempt.verdict_event_id == call.closing_event_id
    if task is not None:
        return False
    if attempt.number == call.attempts_made:
        return True
    return not awaits_verdict(await tx.latest_attempt(call.call_id))


async def _cancel_retry(tx: Transaction, call: Call, task: Task | None, verdict: Verdict) -> Task | None:
    """A correction may cancel a pending retry, never create one; a callback somebody asked for stands."""
    is_still_due = verdict.reason in call.retry.on or verdict.reason is FailReason.CAPACITY
    if task is None or task.kind is not TaskKind.RETRY or is_still_due:
        return task
    task.status = TaskStatus.DELETED
    await tx.save(task)
    return None


async def _plan_retry(
    tx: Transaction, call: Call, attempt: Attempt, verdict: Verdict, rules: OutcomeRules, now: datetime
) -> Task | None:
    if verdict.reason is FailReason.CAPACITY:
        # The provider had no room: that try is not counted against the call's budget.
        call.budget_used -= 1
    if attempt.placed_at is None or await tx.is_suppressed(call.phone, call.contact_id):
        return None
    contact = await tx.contact(call.contact_id)
    assert contact is not None, "calls refer to a contact"
    zones = zones_of(contact, call.phone, rules.numbers)
    due_at = next_attempt_at(call, attempt, verdict, rules.policy, zones)
    if due_at is None:
        return None
    task = Task(rules.new_id(), call.call_id, TaskKind.RETRY, due_at, created_at=now)
    await tx.insert(task)
    reach(Failpoint.RETRY_PLANNED)
    return task


def _close_or_reclose(call: Call, verdict: Verdict, id_: str) -> None:
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
