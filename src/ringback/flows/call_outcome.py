"""Bind an attempt to the provider's call, merge reports into it, and apply its outcome once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from ringback.domain.attempt import Attempt, AttemptState, awaits_verdict, furthest
from ringback.domain.call import Call, Task, TaskKind, TaskStatus, close
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines, analysis_is_given_up
from ringback.domain.outcome import (
    PROVIDER_LOST_DIGEST,
    Occasion,
    OutcomeInputs,
    Verdict,
    VerdictChange,
    decide,
    decide_outcome,
    digests_like,
    is_retried,
    may_be_retried,
    occurred_at,
)
from ringback.domain.phone_number import NumberPlan
from ringback.domain.provider_report import ProviderReport, ReportKind, absorb
from ringback.domain.zone_names import candidate_zones
from ringback.failpoints import Failpoint, reach
from ringback.flows.abt_events import emit_initiated, emit_started, emit_terminal
from ringback.flows.suppression import suppress
from ringback.storage import Suppression, UnitOfWork

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """Rules and services for deciding and applying an outcome.

    `attempts` counts the concluded attempts of this process by dial, party and end.
    """

    policy: DialPolicy
    deadlines: Deadlines
    numbers: NumberPlan
    new_id: Callable[[], str]
    attempts: Counter[tuple[str, str, str]] = field(default_factory=Counter)


async def bind_provider_call(
    tx: UnitOfWork, call: Call, attempt: Attempt, provider_call_id: str, now: datetime
) -> bool:
    """Attach the provider's call to the attempt. Every source of evidence goes through here.

    Returns False in three cases. The attempt already has a different provider call: an incident, and the new call is
    stopped. The provider's call is another attempt's or an inbound call: it is left alone despite its metadata.
    The attempt's person was erased.
    """
    if attempt.is_erased:
        _log.warning("attempt.erased", attempt_id=attempt.attempt_id)
        return False
    if attempt.provider_call_id == provider_call_id:
        return True
    if await tx.attempts.is_call_of_another(provider_call_id, attempt.attempt_id):
        claim = {"provider_call_id": provider_call_id}
        await tx.decisions.log(call.call_id, attempt.attempt_id, "claim_on_another_call", claim, now)
        _log.error("attempt.call_claimed", attempt_id=attempt.attempt_id, provider_call_id=provider_call_id)
        return False
    if attempt.provider_call_id is not None:
        await tx.decisions.log(
            call.call_id, attempt.attempt_id, "incident_second_provider_call", {"stopped": provider_call_id}, now
        )
        payload = {"call_id": call.call_id, "provider_call_id": provider_call_id}
        await tx.outbox.enqueue("stop_call", f"stop:{provider_call_id}", payload, None, now)
        _log.error("attempt.second_provider_call", attempt_id=attempt.attempt_id, provider_call_id=provider_call_id)
        return False
    attempt.provider_call_id = provider_call_id
    attempt.placed_at = attempt.sent_at
    attempt.lease_until = None
    if attempt.state is not AttemptState.DIALING:
        await consume_own_task(tx, attempt)
    if not attempt.holds_person:
        person = await tx.person_facts(call, attempt.attempt_id, now)
        attempt.holds_person = person.held_by_attempt is None
    attempt.state = furthest(attempt.state, AttemptState.PLACED)
    # They are set if Retell had rejected the attempt, or it was stopped while it waited. The evidence overrides them.
    attempt.dial = attempt.disconnection_reason = attempt.verdict_digest = None
    attempt.holds_slot = True
    await emit_initiated(tx, call, attempt, now)
    return True


async def consume_own_task(tx: UnitOfWork, attempt: Attempt) -> None:
    """Consume the open task if it would dial this attempt again."""
    task = await tx.tasks.open_for(attempt.call_id)
    if task is not None and task.task_id == attempt.task_id:
        task.status = TaskStatus.CONSUMED
        await tx.save(task)


async def apply_report(
    tx: UnitOfWork, call: Call, attempt: Attempt, report: ProviderReport, rules: OutcomeRules, now: datetime
) -> None:
    """Merge one report into a bound attempt, and apply its consequences."""
    was_polled = report.kind is ReportKind.SNAPSHOT and report.status is not None
    if attempt.verdict_digest == PROVIDER_LOST_DIGEST:
        attempt.verdict_digest = None  # the call was found again
    absorb(attempt, report)
    if attempt.business.get("opt_out"):
        await tx.save(attempt)  # because a search of the person's ringing attempts reads its row
        await suppress_after_opt_out(tx, call, occurred_at(attempt), rules, now)
    gave_up = was_polled and analysis_is_given_up(attempt, rules.deadlines, now)
    verdict = decide(attempt, was_polled=was_polled, gave_up=gave_up)
    await apply_verdict(tx, call, attempt, verdict, rules, Occasion(now, was_polled=was_polled))


async def suppress_after_opt_out(
    tx: UnitOfWork, call: Call, asked_at: datetime, rules: OutcomeRules, now: datetime
) -> None:
    """Suppress the person once, as of the time of their request.

    The person asked during the call. The suppression ends all their open calls, this one too. It is applied before the
    outcome of this attempt is decided.
    """
    if call.no_more_retries == "opt_out":
        return
    # Phone and contact are checked separately: a suppression of one must not leave the other open.
    if not (await tx.suppressions.covers(call.phone, "") and await tx.suppressions.covers("", call.contact_id)):
        suppression = Suppression(rules.new_id(), call.phone, call.contact_id, "opt_out", "provider", asked_at)
        await suppress(tx, suppression, now)
    call.no_more_retries = "opt_out"


async def apply_verdict(
    tx: UnitOfWork, call: Call, attempt: Attempt, verdict: Verdict | None, rules: OutcomeRules, occasion: Occasion
) -> None:
    """Decide the outcome of the attempt's facts and verdict, apply it, and save the attempt and its call."""
    now, task = occasion.now, await tx.tasks.open_for(call.call_id)
    inputs = OutcomeInputs(occasion, rules.policy, rules.deadlines, task)
    is_placed = attempt.placed_at is not None
    if is_placed and verdict is not None and is_retried(call, verdict) and may_be_retried(attempt, call, task):
        contact = await tx.contacts.get(call.contact_id)
        assert contact is not None, "calls refer to a contact"
        inputs = replace(
            inputs,
            suppressed=await tx.suppressions.covers(call.phone, call.contact_id),
            zones=candidate_zones(contact.time_zone, rules.numbers.time_zones(call.phone)),
        )
        if call.retry.rules is not None:
            alike = await tx.attempts.count_before(attempt, digests_like(verdict))
            inputs = replace(inputs, ended_alike_before=alike)
    if verdict is not None and attempt.number != call.attempts_made:
        inputs = replace(inputs, later_attempt_decides=awaits_verdict(await tx.attempts.latest_for(call.call_id)))

    outcome = decide_outcome(attempt, call, verdict, inputs)

    if outcome.emits_started:
        await emit_started(tx, call, attempt, now)
    if outcome.change is not None:
        is_first = attempt.verdict_type is None
        await _apply_change(tx, call, attempt, outcome.change, inputs, rules.new_id)
        tx.after_commit(partial(_report_conclusion, attempt, verdict, outcome.change, rules if is_first else None))
    attempt.holds_slot, attempt.holds_person = outcome.holds_slot, outcome.holds_person
    attempt.next_check_at = outcome.next_check_at
    call.status = outcome.status
    await tx.save(attempt)
    await tx.save(call)


def _report_conclusion(
    attempt: Attempt, verdict: Verdict | None, change: VerdictChange, counted_by: OutcomeRules | None
) -> None:
    """Log a committed verdict. Count the attempt's first one: a correction concludes no other attempt."""
    facts = (attempt.dial or "unknown", attempt.party or "unknown", attempt.end or "unknown")
    if counted_by is not None:
        counted_by.attempts[facts] += 1
    _log.info(
        "attempt.concluded",
        call_id=attempt.call_id,
        attempt_id=attempt.attempt_id,
        type=change.type,
        reason=verdict.reason if verdict is not None else None,
        dial=facts[0],
        party=facts[1],
        end=facts[2],
        is_final=change.event.is_final if change.event is not None else False,
        corrects=change.event.corrects if change.event is not None else None,
    )


async def _apply_change(
    tx: UnitOfWork,
    call: Call,
    attempt: Attempt,
    change: VerdictChange,
    inputs: OutcomeInputs,
    new_id: Callable[[], str],
) -> None:
    now, task = inputs.occasion.now, inputs.task
    call.budget_used += change.budget_change
    if change.cancels_retry:
        assert task is not None, "a pending retry is a task"
        task.status = TaskStatus.DELETED
        await tx.save(task)
    if change.retry_due_at is not None:
        retry = Task(new_id(), call.call_id, TaskKind.RETRY, change.retry_due_at, created_at=now)
        own_task = await tx.tasks.get(attempt.task_id) if change.budget_change else None
        if own_task is not None and own_task.kind is TaskKind.CALLBACK:
            # Retell had no capacity for the promised callback. The person still waits for it, so it is no retry.
            retry.kind, retry.source, retry.reason = own_task.kind, own_task.source, own_task.reason
        await tx.insert(retry)
        reach(Failpoint.RETRY_PLANNED)
    if change.event is not None:
        await emit_terminal(tx, call, attempt, change.event, now)
        reach(Failpoint.VERDICT_ANNOUNCED)
    attempt.verdict_type, attempt.verdict_event_id = change.type, change.event_id
    attempt.verdict_digest = change.digest
    if change.closing_status is not None:
        assert change.event_id is not None, "an event closes the call"
        if call.final:
            # The event corrects the one that closed the call, and replaces it.
            call.closing_event_id = change.event_id
        else:
            close(call, change.closing_status, change.event_id)
