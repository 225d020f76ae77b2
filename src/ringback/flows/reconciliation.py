"""Reconcile attempts with the provider: resolve unknown ones by look-ups, and poll silent ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ringback import tracing
from ringback.batching import run_concurrently
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import (
    CLEAN_LOOKUPS_TO_FREE_SLOT,
    CLEAN_LOOKUPS_TO_RESEND,
    PLACED_OR_LATER,
    Attempt,
    AttemptState,
    check_transition,
)
from ringback.domain.call import Call, TaskStatus
from ringback.domain.errors import ProviderUnavailable
from ringback.domain.follow_up import (
    GIVE_UP_UNREACHABLE,
    analysis_is_given_up,
    next_check_after_failure,
    next_lookup_at,
)
from ringback.domain.outcome import Occasion, Verdict, decide
from ringback.domain.provider_report import ProviderReport
from ringback.failpoints import Failpoint, reach
from ringback.flows.border import IdentifiedProvider, MarkedStore, check_border
from ringback.flows.call_outcome import OutcomeRules, apply_verdict, consume_own_task
from ringback.flows.dial_results import become_unknown
from ringback.flows.event_processing import apply_evidence, lock_people_of_report
from ringback.ports import Clock
from ringback.storage import UnitOfWork
from ringback.tracing import AttemptIds

_log = structlog.get_logger(__name__)

#: Another process repeats the check of a dead process after this long.
BUSY = timedelta(seconds=30)
BATCH = 100


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The flow that checks attempts without a report in time."""

    store: MarkedStore
    provider: IdentifiedProvider
    clock: Clock
    rules: OutcomeRules

    async def reconcile_due_attempts(self) -> int:
        """Check all attempts whose check is due. Returns their number. Raises AcrossTheBorder."""
        await check_border(self.store, self.provider)
        now = self.clock.now()
        due = await self.store.attempts_to_check(now, now + BUSY, BATCH)
        await run_concurrently(self._reconcile_in_span, due, at_once=BATCH)
        return len(due)

    async def _reconcile_in_span(self, attempt: Attempt) -> None:
        ids = AttemptIds(attempt.attempt_id, attempt.number)
        with tracing.span("attempt.reconcile", attempt.call_id, ids, state=attempt.state):
            await self._reconcile(attempt)

    async def _reconcile(self, attempt: Attempt) -> None:
        match attempt.state:
            case AttemptState.DIALING:
                await self._lease_is_over(attempt)
            case AttemptState.UNKNOWN:
                await self._look_up(attempt)
            case state if state in PLACED_OR_LATER and not attempt.is_final:
                await self._ask(attempt)
            case _:
                # The attempt was finished before its check became due.
                async with self.store.transaction() as tx:
                    _, current = await _lock(tx, attempt)
                    if current.state is attempt.state:
                        current.next_check_at = None
                        await tx.save(current)

    async def _lease_is_over(self, seen: Attempt) -> None:
        """Mark the attempt unknown. Its worker died or stopped between claim and answer, and may have sent."""
        async with self.store.transaction() as tx:
            call, attempt = await _lock(tx, seen)
            now = self.clock.now()
            if attempt.state is AttemptState.DIALING and attempt.fence == seen.fence:
                await tx.decisions.log(call.call_id, attempt.attempt_id, "lease_over", {"fence": attempt.fence}, now)
                await become_unknown(tx, call, attempt, self.rules.deadlines, now)
                reach(Failpoint.LEASE_OVER)

    async def _look_up(self, seen: Attempt) -> None:
        instance = await self.store.instance()
        try:
            listed = await self.provider.find_attempt(seen.attempt_id)
        except ProviderUnavailable:
            await self._count_lookup(seen, is_clean=False)
            return
        reach(Failpoint.LOOKUP_ANSWERED)
        # The oldest first: if a resend made a second call, the first one is the attempt's, and the second is stopped.
        own_reports = sorted(
            (report for report in listed if report.instance == instance),
            key=lambda report: (report.started_at is None, report.started_at),
        )
        is_found = False
        for report in own_reports:
            try:
                whole = await self.provider.fetch_call(report.provider_call_id)
            except ProviderUnavailable:
                whole = None
            # The list's entry is enough without the whole call: it proves that the call exists.
            is_found = await self._apply(seen, whole or report) or is_found
        if not is_found:
            # A call with Ringback's marks that is another attempt's does not show whether this attempt rang.
            await self._count_lookup(seen, is_clean=not own_reports)

    async def _count_lookup(self, seen: Attempt, *, is_clean: bool) -> None:
        async with self.store.transaction() as tx:
            call, attempt = await _lock(tx, seen)
            now = self.clock.now()
            if attempt.state is not AttemptState.UNKNOWN or attempt.fence != seen.fence:
                return
            if attempt.lookups != seen.lookups:
                # Another look-up was counted in between. Counting this slow answer too would end the grace period
                # early, by old knowledge.
                return
            attempt.lookups += 1
            attempt.clean_lookups += is_clean
            attempt.next_check_at = next_lookup_at(attempt, self.rules.deadlines, now)
            attempt.holds_slot = attempt.clean_lookups < CLEAN_LOOKUPS_TO_FREE_SLOT
            detail = {"found": False if is_clean else None, "lookups": attempt.lookups}
            await tx.decisions.log(call.call_id, attempt.attempt_id, "lookup", detail, now)
            if is_clean and attempt.clean_lookups == CLEAN_LOOKUPS_TO_RESEND:
                await self._ask_for_resend(tx, call, attempt, now)
            if is_clean and attempt.lookups >= len(self.rules.deadlines.unknown_lookups_s):
                await self._abandon(tx, call, attempt, "grace_over", now)
            elif not is_clean and attempt.unknown_since and now >= attempt.unknown_since + GIVE_UP_UNREACHABLE:
                await self._abandon(tx, call, attempt, "lookup_impossible", now)
            await tx.save(attempt)
            await tx.save(call)
            reach(Failpoint.LOOKUP_COUNTED)

    async def _ask_for_resend(self, tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime) -> None:
        """Make the attempt's own task due once more. The eligibility check decides about the resend."""
        assert attempt.sent_at is not None, "an unknown attempt was sent"
        window_ends = attempt.sent_at + timedelta(seconds=self.rules.deadlines.same_key_window_s)
        has_task = await tx.tasks.open_for(call.call_id) is not None
        if attempt.resent or has_task or now >= window_ends or call.no_more_retries is not None:
            return
        task = await tx.tasks.get(attempt.task_id)
        assert task is not None, "attempts refer to their task"
        task.status, task.due_at, task.dispatched_at = TaskStatus.PENDING, now, None
        await tx.save(task)
        await tx.decisions.log(call.call_id, attempt.attempt_id, "same_key_resend_asked", {}, now)
        reach(Failpoint.RESEND_ASKED)

    async def _abandon(self, tx: UnitOfWork, call: Call, attempt: Attempt, why: str, now: datetime) -> None:
        """Give the attempt up and never redial it. Engage is told that it is unknown whether the person was called."""
        check_transition(attempt.state, AttemptState.ABANDONED)
        attempt.state = AttemptState.ABANDONED
        attempt.disconnection_reason = None
        await consume_own_task(tx, attempt)
        await tx.decisions.log(call.call_id, attempt.attempt_id, "incident_abandoned", {"why": why}, now)
        verdict = Verdict(AbtType.FAILED, FailReason.OUTCOME_UNKNOWN)
        await apply_verdict(tx, call, attempt, verdict, self.rules, Occasion(now, is_given_up=True))
        reach(Failpoint.ABANDONED)
        _log.warning("attempt.abandoned", call_id=call.call_id, attempt_id=attempt.attempt_id, why=why)

    async def _ask(self, seen: Attempt) -> None:
        assert seen.provider_call_id is not None, "a placed attempt has its provider call"
        try:
            report = await self.provider.fetch_call(seen.provider_call_id)
            reach(Failpoint.POLL_ANSWERED)
        except ProviderUnavailable:
            report = None
        if report is not None:
            await self._apply(seen, report)
            return
        async with self.store.transaction() as tx:
            call, attempt = await _lock(tx, seen)
            now = self.clock.now()
            if attempt.state is not seen.state or attempt.is_final:
                return
            attempt.polls += 1
            attempt.next_check_at = next_check_after_failure(attempt, self.rules.deadlines, now)
            await tx.save(attempt)
            await self._give_up(tx, call, attempt, now)

    async def _give_up(self, tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime) -> None:
        """Give the attempt up after its time limit: by its facts if its end is known, else as an incident."""
        verdict = None
        if attempt.state is AttemptState.ENDED and attempt.dial is not None:
            if analysis_is_given_up(attempt, self.rules.deadlines, now):
                verdict = decide(attempt, gave_up=True)
        else:
            assert attempt.placed_at is not None, "a placed attempt has its time"
            if now >= attempt.placed_at + GIVE_UP_UNREACHABLE:
                verdict = Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST)
        if verdict is None:
            return
        await tx.decisions.log(call.call_id, attempt.attempt_id, "incident_provider_lost", {"as": verdict.type}, now)
        await apply_verdict(tx, call, attempt, verdict, self.rules, Occasion(now, is_given_up=True))
        _log.warning("attempt.lost", call_id=call.call_id, attempt_id=attempt.attempt_id, reason=verdict.reason)

    async def _apply(self, seen: Attempt, report: ProviderReport) -> bool:
        """Apply a report. Returns False if the call is another attempt's, and this one stays unknown."""
        async with self.store.transaction() as tx:
            await lock_people_of_report(tx, seen, report)
            call, attempt = await _lock(tx, seen)
            now = self.clock.now()
            if attempt.is_erased:
                return True
            attempt.polls = 0
            await tx.save(attempt)
            detail = {"status": report.status, "reason": report.disconnection_reason}
            await tx.decisions.log(call.call_id, attempt.attempt_id, "asked_provider", detail, now)
            await apply_evidence(tx, seen, report, self.rules, lambda: now)
            reach(Failpoint.POLL_APPLIED)
            if attempt.state is AttemptState.UNKNOWN:
                return False
            if not attempt.is_final:
                # A provider that reports "ringing" for a day knows as little as one that does not respond.
                await self._give_up(tx, call, attempt, now)
        return True


async def _lock(tx: UnitOfWork, seen: Attempt) -> tuple[Call, Attempt]:
    call = await tx.lock_call(seen.call_id)
    attempt = await tx.attempts.get(seen.attempt_id)
    assert call is not None and attempt is not None, "attempts and calls are never deleted while they are open"
    return call, attempt
