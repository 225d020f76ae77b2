"""Accept a call: one durable intent, its task and its outgoing message in one transaction, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.call import (
    DEFAULT_LIFETIME,
    Call,
    CallStatus,
    Contact,
    Task,
    TaskKind,
    TaskStatus,
)
from ringback.domain.call_state import close
from ringback.domain.gate import DialPolicy
from ringback.domain.new_call import Accepted, KeyReused, NewCall
from ringback.flows.announcing import announce_closing
from ringback.flows.whereabouts import zones_of
from ringback.messages import CallRequested
from ringback.ports import Clock, NumberPlan, Store, StoredAnswer, Transaction

#: When calling hours cannot be known (no zone), the gate looks again this much later; it never dials on a guess.
_HOURS_UNKNOWN = timedelta(days=1)


class _KeyTaken(Exception):
    """Another request with the same key was committed while this one was under way."""


@dataclass(frozen=True, slots=True)
class CallInitiation:
    """What accepting a call needs."""

    store: Store
    clock: Clock
    new_id: Callable[[], str]
    numbers: NumberPlan
    policy: DialPolicy

    async def accept_call(self, request: NewCall, idempotency_key: str | None = None) -> Accepted:
        """Durable when this returns. Raises KeyReused, StoreUnavailable."""
        if idempotency_key is not None:
            stored = await self.store.stored_answer(idempotency_key)
            if stored is not None:
                return _replay(stored, request)
        try:
            return await self._accept(request, idempotency_key)
        except _KeyTaken:
            assert idempotency_key is not None, "only a key can be taken"
            stored = await self.store.stored_answer(idempotency_key)
            assert stored is not None, "the transaction that took the key has committed"
            return _replay(stored, request)

    async def _accept(self, request: NewCall, idempotency_key: str | None) -> Accepted:
        now = self.clock.now()
        async with self.store.transaction() as tx:
            source = "crm" if request.time_zone else None
            contact = Contact(request.contact_id, request.phone, request.time_zone, source, request.fields)
            contact = await tx.upsert_contact(contact, now)
            call = self._new_call(request, now)
            await tx.insert(call)
            refused = await self._refusal(tx, request)
            if refused is not None:
                accepted = await _end_at_once(tx, call, refused, now)
            else:
                accepted = await self._schedule(tx, call, contact, request, now)
            if idempotency_key is not None:
                answer = StoredAnswer(request.fingerprint, _answer(accepted))
                if not await tx.store_answer(call.call_id, idempotency_key, answer):
                    raise _KeyTaken
        return accepted

    def _new_call(self, request: NewCall, now: datetime) -> Call:
        due_at = max(now, request.not_before or now)
        return Call(
            call_id=self.new_id(),
            contact_id=request.contact_id,
            phone=request.phone,
            agent_id=request.agent_id,
            from_number=request.from_number,
            variables=request.variables,
            metadata=request.metadata,
            retry=request.retry,
            accepted_at=now,
            expires_at=request.expires_at or due_at + DEFAULT_LIFETIME,
            expiry_is_explicit=request.expires_at is not None,
        )

    async def _refusal(self, tx: Transaction, request: NewCall) -> FailReason | None:
        if await tx.is_suppressed(request.phone, request.contact_id):
            return FailReason.SUPPRESSED
        if self.numbers.region(request.phone) not in self.policy.countries:
            return FailReason.COUNTRY_NOT_ALLOWED
        return None

    async def _schedule(
        self, tx: Transaction, call: Call, contact: Contact, request: NewCall, now: datetime
    ) -> Accepted:
        wanted = max(now, request.not_before or now)
        opens = self.policy.calling_hours.next_open(wanted, zones_of(contact, call.phone, self.numbers))
        due_at = opens or wanted + _HOURS_UNKNOWN
        task = Task(self.new_id(), call.call_id, TaskKind.FIRST, due_at, created_at=now)
        status = CallStatus.SCHEDULED
        if due_at <= now:
            # Due at once: released here, so that the scheduler is not in the way of the first message.
            task.status, task.dispatch, task.dispatched_at = TaskStatus.DISPATCHED, 1, now
            await tx.request_call(CallRequested(call.call_id, task.task_id, task.dispatch), now)
            status = CallStatus.QUEUED
        await tx.insert(task)
        return Accepted(call.call_id, status, task.due_at)


async def _end_at_once(tx: Transaction, call: Call, reason: FailReason, now: datetime) -> Accepted:
    close(call, CallStatus.FAILED, await announce_closing(tx, call, reason, now))
    await tx.save(call)
    await tx.note_decision(call.call_id, None, "refused_at_acceptance", {"reason": reason}, now)
    return Accepted(call.call_id, call.status, None)


def _answer(accepted: Accepted) -> dict[str, str | None]:
    return {
        "call_id": accepted.call_id,
        "status": accepted.status,
        "next_eligible_at": iso(accepted.next_eligible_at),
    }


def _replay(stored: StoredAnswer, request: NewCall) -> Accepted:
    if stored.request_hash != request.fingerprint:
        raise KeyReused
    response = stored.response
    due_at = response["next_eligible_at"]
    return Accepted(
        response["call_id"],
        CallStatus(response["status"]),
        datetime.fromisoformat(due_at) if due_at else None,
        replayed=True,
    )
