"""Place a call: check eligibility and claim in one transaction, commit, send once, record the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ringback import tracing
from ringback.domain.abt_event import iso
from ringback.domain.attempt import Attempt, AttemptState, DialAnswer, DialRequest, VoicemailAction, check_transition
from ringback.domain.call import Call, Task, TaskStatus, update_status
from ringback.domain.contact import Contact
from ringback.domain.eligibility import (
    ALLOW,
    PROBE_S,
    Candidate,
    CapacityFacts,
    EligibilityDecision,
    EligibilityVerdict,
    PersonFacts,
    defer_across_border,
    defer_for_capacity,
    defer_for_person,
    deny,
)
from ringback.domain.errors import Retryable
from ringback.domain.zone_names import candidate_zones
from ringback.failpoints import Failpoint, reach
from ringback.flows.border import IdentifiedProvider
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.dial_results import record_answer
from ringback.flows.ending_calls import end_call
from ringback.messages import CallRequested
from ringback.ports import Clock
from ringback.storage import Store, UnitOfWork
from ringback.tracing import AttemptIds, SpanKind

_log = structlog.get_logger(__name__)

#: A claim must be sent within this long, or its lease could end while the request is on its way.
SEND_WITHIN_S = 30.0
#: Pauses between tries to record the answer of a call that may be ringing.
_RECORD_PAUSES_S = (0.1, 0.5, 2.0, 5.0)

_Work = Callable[[], Awaitable[None]]
_SAME_KEY_OVER = EligibilityDecision(EligibilityVerdict.DENY, "same_key_window_over")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one request, once, before `lease_deadline` (monotonic seconds)."""

    call_id: str
    attempt_id: str
    number: int
    fence: int
    request: DialRequest
    lease_deadline: float
    is_resend: bool
    is_probe: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """Facts read under the locks of a claim. `own` is the attempt that would be dialed (again), if any."""

    call: Call
    task: Task
    contact: Contact
    own: Attempt | None
    is_resend: bool
    person: PersonFacts
    now: datetime


@dataclass(frozen=True, slots=True)
class CallProcessing:
    """The flow that places calls."""

    store: Store
    provider: IdentifiedProvider
    clock: Clock
    new_id: Callable[[], str]
    rules: OutcomeRules

    async def place_call(self, message: CallRequested, traceparent: str | None = None) -> None:
        """Dial the requested call, if it still may be dialed. Raises Retryable before the claim.

        After the claim no failure leads to a second request. The message carried `traceparent`.
        """
        began_ns = tracing.now_ns()
        claim = await self._claim(message)
        if claim is None:
            return
        ids = AttemptIds(claim.attempt_id, claim.number)
        if claim.fence == 1:
            span = tracing.span_of_attempt("attempt.dial", claim.call_id, ids, follows=traceparent, began_ns=began_ns)
        else:
            # A second claim of an attempt is a span below the first, because an id names one span.
            span = tracing.span("attempt.dial_again", claim.call_id, ids, began_ns=began_ns)
        with span:
            await self._dial(claim, ids)

    async def _dial(self, claim: Claim, ids: AttemptIds) -> None:
        action = await self.provider.voicemail_action(claim.request.agent_id)
        reach(Failpoint.VOICEMAIL_LEARNT)
        if action is VoicemailAction.HANGUP:
            # It decides the meaning of a voicemail. The call's webhooks may be faster than the answer to its dial.
            await _retry_write(lambda: self._note_action(claim, action))
        with tracing.span("retell.create_phone_call", claim.call_id, ids, kind=SpanKind.CLIENT) as asking:
            answer = await self.provider.dial(claim.request, claim.lease_deadline)
            asking.note(answer=answer.kind, cause=answer.cause, provider_call_id=answer.provider_call_id)
        reach(Failpoint.DIAL_ANSWERED)
        _log.info(
            "call.dialed",
            call_id=claim.call_id,
            attempt_id=claim.attempt_id,
            answer=answer.kind,
            cause=answer.cause,
            provider_call_id=answer.provider_call_id,
            **({"message": answer.message} if answer.message else {}),
        )
        with tracing.span("answer.record", claim.call_id, ids):
            await _retry_write(lambda: self._record(claim, answer, action))

    async def _note_action(self, claim: Claim, action: VoicemailAction) -> None:
        async with self.store.transaction() as tx:
            await tx.lock_call(claim.call_id)
            attempt = await tx.attempts.get(claim.attempt_id)
            assert attempt is not None, "a claim is written before it is sent"
            attempt.voicemail_action = action
            await tx.save(attempt)
        reach(Failpoint.VOICEMAIL_NOTED)

    async def _record(self, claim: Claim, answer: DialAnswer, action: VoicemailAction) -> None:
        async with self.store.transaction() as tx:
            call = await tx.lock_call(claim.call_id)
            now = self.clock.now()
            attempt = await tx.attempts.get(claim.attempt_id)
            assert call is not None and attempt is not None, "a claim is written before it is sent"
            attempt.voicemail_action = action
            if claim.is_probe and answer.provider_call_id is not None:
                await tx.capacity.close_breaker()
            detail = {"answer": answer.kind, "cause": answer.cause, "resend": claim.is_resend}
            if answer.message is not None:
                detail["message"] = answer.message
            await tx.decisions.log(call.call_id, attempt.attempt_id, "dial_answer", detail, now)
            holds_claim = attempt.state is AttemptState.DIALING and attempt.fence == claim.fence
            if holds_claim or answer.provider_call_id is not None:
                await record_answer(tx, call, attempt, answer, self.rules, now)
            else:
                await tx.save(attempt)
            reach(Failpoint.ANSWER_WRITTEN)
        reach(Failpoint.ANSWER_COMMITTED)

    async def _claim(self, message: CallRequested) -> Claim | None:
        instance, emulated = await self.store.instance(), await self.provider.is_emulated()
        async with self.store.transaction() as tx:
            call = await tx.lock_call(message.call_id)
            reach(Failpoint.CLAIM_LOCKED)
            # Read after the wait for the lock: hours, expiry and lease are judged by this time.
            now, monotonic = self.clock.now(), self.clock.monotonic()
            case = await self._read_case(tx, call, message, now) if call is not None else None
            if case is None:
                return None
            decision, capacity = await self._decide(tx, case, emulated)
            await tx.decisions.log(
                case.call.call_id,
                case.own.attempt_id if case.own else None,
                "gate",
                _inputs(decision, case, capacity),
                now,
            )
            if decision.verdict is not EligibilityVerdict.ALLOW:
                await _defer_or_end(tx, case, decision)
                reach(Failpoint.CLAIM_TURNED_AWAY)
                return None
            assert capacity is not None, "only the capacity check admits"
            is_probe = capacity.breaker_until is not None
            if is_probe:
                await tx.capacity.probe_breaker(now + timedelta(seconds=PROBE_S))
            attempt = await self._write_ahead(tx, case, instance)
            reach(Failpoint.CLAIM_WRITTEN)
        reach(Failpoint.CLAIM_COMMITTED)
        # After the commit only this worker may send, and only once.
        return Claim(
            attempt.call_id,
            attempt.attempt_id,
            attempt.number,
            attempt.fence,
            DialRequest(**attempt.request),
            monotonic + self._send_within_s(case),
            case.is_resend,
            is_probe,
        )

    async def _read_case(self, tx: UnitOfWork, call: Call, message: CallRequested, now: datetime) -> _Case | None:
        """Read the facts. Returns None, and the message is dropped, if its dispatch is not the open one."""
        task = None if call.final else await tx.tasks.open_for(call.call_id)
        if task is None or not _is_this_dispatch(task, message):
            return None
        contact = await tx.contacts.get(call.contact_id)
        assert contact is not None, "calls refer to a contact"
        own = _own_attempt(await tx.attempts.latest_for(call.call_id), task)
        is_resend = own is not None and own.state is AttemptState.UNKNOWN
        person = await tx.person_facts(call, own.attempt_id if own else None, now)
        return _Case(call, task, contact, own, is_resend, person, now)

    async def _decide(
        self, tx: UnitOfWork, case: _Case, emulated: bool | None
    ) -> tuple[EligibilityDecision, CapacityFacts | None]:
        policy, now = self.rules.policy, case.now
        zones = candidate_zones(case.contact.time_zone, self.rules.numbers.time_zones(case.call.phone))
        region = self.rules.numbers.region(case.call.phone)
        number_type = self.rules.numbers.number_type(case.call.phone)
        candidate = Candidate(case.call, case.task, zones, region, number_type, case.own is None)
        if case.is_resend and self._same_key_left_s(case) <= 0:
            return _SAME_KEY_OVER, None
        refused = deny(candidate, case.person, policy, now) or defer_for_person(candidate, case.person, policy, now)
        if refused is not None:
            return refused, None
        # Last, because all claims share this lock, and it is held until the commit.
        capacity = await tx.capacity.lock(now)
        crosses = defer_across_border(capacity, emulated, now)
        return crosses or defer_for_capacity(capacity, policy, now) or ALLOW, capacity

    def _same_key_left_s(self, case: _Case) -> float:
        assert case.own is not None and case.own.sent_at is not None, "an unknown attempt was sent"
        return self.rules.deadlines.same_key_window_s - (case.now - case.own.sent_at).total_seconds()

    def _send_within_s(self, case: _Case) -> float:
        """Limit a resend to the time in which the provider still knows its key."""
        return min(SEND_WITHIN_S, self._same_key_left_s(case)) if case.is_resend else SEND_WITHIN_S

    async def _write_ahead(self, tx: UnitOfWork, case: _Case, instance: str) -> Attempt:
        call, task, now = case.call, case.task, case.now
        attempt = case.own or self._new_attempt(call, task, instance)
        if case.own is not None:
            check_transition(attempt.state, AttemptState.DIALING)
            attempt.state = AttemptState.DIALING
        attempt.task_id = task.task_id
        zones = candidate_zones(case.contact.time_zone, self.rules.numbers.time_zones(call.phone))
        attempt.time_zone = zones[0] if zones else None
        attempt.fence += 1
        attempt.claimed_at = now
        attempt.lease_until = attempt.next_check_at = now + timedelta(seconds=self.rules.policy.lease_s)
        attempt.holds_person = attempt.holds_slot = True
        if case.is_resend:
            attempt.resent = True
        else:
            attempt.sent_at = now
        task.status = TaskStatus.CONSUMED
        await tx.save(task)
        await (tx.insert(attempt) if case.own is None else tx.save(attempt))
        update_status(call, None, attempt)
        await tx.save(call)
        return attempt

    def _new_attempt(self, call: Call, task: Task, instance: str) -> Attempt:
        call.attempts_made += 1
        call.budget_used += 1
        attempt_id = self.new_id()
        ids = AttemptIds(attempt_id, call.attempts_made)
        marks = {
            "ringback_call_id": call.call_id,
            "ringback_attempt_id": attempt_id,
            "ringback_instance": instance,
        }
        request = DialRequest(
            to_number=call.phone,
            from_number=call.from_number,
            agent_id=call.agent_id,
            variables=call.variables,
            metadata={**call.metadata, **marks, **tracing.marks_of(call.call_id, ids)},
            idempotency_key=attempt_id,
        )
        return Attempt(
            attempt_id=attempt_id,
            call_id=call.call_id,
            contact_id=call.contact_id,
            phone=call.phone,
            number=call.attempts_made,
            task_id=task.task_id,
            request=request.to_row(),
            state=AttemptState.DIALING,
        )


async def _retry_write(write: _Work) -> None:
    """Raises Retryable while the database stays unavailable. The end of the lease then makes the attempt unknown."""
    for pause_s in _RECORD_PAUSES_S:
        try:
            return await write()
        except Retryable:
            await asyncio.sleep(pause_s)
    await write()


def _own_attempt(latest: Attempt | None, task: Task) -> Attempt | None:
    """The attempt that this task dials again.

    Only its own task may resend an unknown attempt. For any other dial that attempt holds the person.
    """
    if latest is None or latest.state not in (AttemptState.WAITING, AttemptState.UNKNOWN):
        return None
    return latest if latest.state is AttemptState.WAITING or latest.task_id == task.task_id else None


def _is_this_dispatch(task: Task, message: CallRequested) -> bool:
    return (task.task_id, task.status, task.dispatch) == (message.task_id, TaskStatus.DISPATCHED, message.dispatch)


def _inputs(decision: EligibilityDecision, case: _Case, capacity: CapacityFacts | None) -> dict[str, object]:
    """The decision with its inputs, for `trace` and `why`."""
    person = case.person
    inputs: dict[str, object] = {
        **decision.detail(),
        "task": case.task.kind,
        "is_resend": case.is_resend,
        "budget_used": case.call.budget_used,
        "suppressed": person.suppressed,
        "held_by_attempt": person.held_by_attempt,
        "attempts_last_day": person.attempts_last_day,
        "last_attempt_at": iso(person.last_attempt_at),
    }
    if capacity is not None:
        inputs |= {
            "paused": capacity.paused,
            "breaker_until": iso(capacity.breaker_until),
            "live": capacity.live,
            "started_last_second": capacity.started_last_second,
        }
    return inputs


async def _defer_or_end(tx: UnitOfWork, case: _Case, decision: EligibilityDecision) -> None:
    """Make the task due later, or end the call. A denied resend is only not sent."""
    call, task = case.call, case.task
    if case.is_resend and decision.verdict is EligibilityVerdict.DENY:
        task.status = TaskStatus.CONSUMED
        await tx.save(task)
        return
    if decision.verdict is EligibilityVerdict.DEFER:
        assert decision.until is not None, "a wait says until when"
        task.status, task.due_at, task.dispatched_at = TaskStatus.PENDING, decision.until, None
        await tx.save(task)
        update_status(call, task, case.own)
        await tx.save(call)
        return
    assert decision.reason is not None, "a refusal says why"
    await end_call(tx, call, task, await tx.attempts.latest_for(call.call_id), decision.reason, case.now)
