"""Run one action once: find its subject, lock, do, and keep the reply under its key, all in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ringback import tracing
from ringback.domain.audit import AuditAction, AuditEntry
from ringback.domain.call import Call
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.failpoints import Failpoint, reach
from ringback.flows.business_operations.action import (
    Action,
    ActionError,
    ActionRequest,
    Person,
    Reply,
    Scope,
    Subject,
    Target,
)
from ringback.flows.business_operations.arguments import as_meant
from ringback.flows.business_operations.target import NOT_FOUND_SAY
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.event_processing import apply_evidence
from ringback.ports import Clock
from ringback.storage import ActionResult, Ahead, Store, UnitOfWork
from ringback.tracing import AttemptIds, SpanKind

#: Twice the time of Retell's repeats: it repeats an unanswered function twice, 12 s apart and a pause.
REPEATED_WITHIN = timedelta(seconds=60)

#: Actions after which the same words are a new request, because the earlier reply is no longer true. A note or an event
#: that comes again so soon is always a repeat.
_MOVES_TASKS = ("reschedule_call", "delete_scheduled_task")
UNDONE_BY: Mapping[str, tuple[str, ...]] = {
    "reschedule_call": _MOVES_TASKS,
    "delete_scheduled_task": _MOVES_TASKS,
    "field_writeback": ("field_writeback",),
    "update_timezone": ("update_timezone",),
    "set_disposition": ("set_disposition",),
}

#: The actions that a person may ask for, and their names in the audit log.
AUDITED: Mapping[str, AuditAction] = {
    "reschedule_call": AuditAction.CALL_RESCHEDULED,
    "note_writeback": AuditAction.NOTE_ADDED,
}


async def find_repeated(tx: UnitOfWork, request: ActionRequest, now: datetime) -> tuple[ActionRequest, Reply | None]:
    """The request with the key of its stored result, and the earlier reply if it is a repeat.

    From Retell, one id with other arguments is another call: the transcript may show one id for two calls of a turn.
    From systems it is `key_reused`.
    """
    known = await tx.action_results.find(request.scope, request.key)
    if known is not None and request.key_is_content:
        undone_by = UNDONE_BY.get(request.action, ())
        await tx.action_results.free_key(request.scope, request.key, now - REPEATED_WITHIN, undone_by)
        known = await tx.action_results.find(request.scope, request.key)
    if known is not None and known[0] != request.fingerprint and request.scope is Scope.RETELL:
        request = replace(request, key=f"{request.key}:{request.fingerprint}")
        known = await tx.action_results.find(request.scope, request.key)
    if known is None:
        return request, None
    fingerprint, stored = known
    if fingerprint != request.fingerprint:
        return request, Reply(False, "key_reused", "This idempotency key was used for another request.")
    return request, Reply.from_json(stored)


#: Tries after a deadlock, a serialization failure or a lost race for the key. A person may be waiting: no pauses.
TRIES = 3
#: For a caller who loses all of them.
RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class BusinessOperations:
    """The flow that runs actions. `actions` has all actions by name."""

    store: Store
    clock: Clock
    actions: Mapping[str, Action]
    rules: OutcomeRules

    async def perform(self, request: ActionRequest) -> Reply:
        """Run one action. It is durable before the reply is ok. The same key and request get the stored reply.

        A refusal is not stored: a corrected request may use its key again. Raises StoreUnavailable, and Retryable after
        losing every race.
        """
        if request.scope is Scope.SYSTEMS:
            return await self._perform(request)
        args, ignored = as_meant(request.args, self.actions[request.action].declaration.arguments)
        return _with_ignored(await self._perform(replace(request, args=args)), ignored)

    def rehearse(self, action: str, args: Mapping[str, Any]) -> Reply:
        """The action's reply to an agent without a target. Neither reads nor writes the database."""
        meant, ignored = as_meant(args, self.actions[action].declaration.arguments)
        try:
            return _with_ignored(self.actions[action].rehearse(meant, self.clock.now()), ignored)
        except ActionError as refused:
            return _with_ignored(refused.reply, ignored)

    async def _perform(self, request: ActionRequest) -> Reply:
        for _ in range(TRIES - 1):
            try:
                return await self._perform_once(request)
            except StoreUnavailable:
                raise
            except Retryable:
                continue
        return await self._perform_once(request)

    async def _perform_once(self, request: ActionRequest) -> Reply:
        try:
            began_ns = tracing.now_ns()
            target = await self.actions[request.action].find(request, self.store)
            if isinstance(target, Reply):
                return target
            ids = AttemptIds(target.attempt.attempt_id, target.attempt.number) if target.attempt is not None else None
            with tracing.span(
                "action.perform", target.call_id, ids, kind=SpanKind.SERVER, began_ns=began_ns, action=request.action
            ) as performing:
                try:
                    async with self.store.transaction() as tx:
                        reply = await self._within(tx, request, target)
                except ActionError as refused:
                    performing.note(door=request.scope, code=refused.reply.code)
                    return refused.reply
                performing.note(door=request.scope, code=reply.code)
            reach(Failpoint.ACTION_COMMITTED)
            return reply
        except ActionError as refused:
            return refused.reply

    async def _within(self, tx: UnitOfWork, request: ActionRequest, target: Target) -> Reply:
        action = self.actions[request.action]
        call = await _lock(tx, request, target, action)
        person = target.person or _person_of(call, target)
        now = self.clock.now()
        request, repeated = await find_repeated(tx, request, now)
        if repeated is not None:
            return repeated
        if target.attempt is not None and request.report is not None:
            # A signed function call proves that the call connected, perhaps before any other report.
            await apply_evidence(tx, target.attempt, request.report, self.rules, self.clock.now)
        try:
            reply = await action.do(tx, await _subject(tx, request, target, person, call), request.args, now)
        except ActionError as refused:
            # Caught inside the transaction, so that the evidence and the refusal are committed.
            if target.call_id is not None:
                attempt_id = target.attempt.attempt_id if target.attempt is not None else None
                detail = {"action": request.action, "door": request.scope, "code": refused.reply.code}
                await tx.decisions.log(target.call_id, attempt_id, "action_refused", detail, now)
            return refused.reply
        if request.actor is not None:
            await tx.audit.record(AuditEntry(now, request.actor, AUDITED[request.action], f"call:{target.call_id}"))
        reach(Failpoint.ACTION_DONE)
        result = ActionResult(
            scope=request.scope,
            key=request.key,
            action=request.action,
            request_hash=request.fingerprint,
            call_id=target.call_id,
            contact_id=person.contact_id,
            at=now,
            reply=reply.as_json(),
        )
        await tx.action_results.store(result)
        return reply


async def _lock(tx: UnitOfWork, request: ActionRequest, target: Target, action: Action) -> Call | None:
    """Lock the person and the call, and read with the call what follows."""
    every_phone = action.locks_every_phone or (request.report is not None and request.report.says_stop)
    person, call = target.person, None
    if target.call_id is not None:
        attempt_id = target.attempt.attempt_id if target.attempt is not None else None
        call = await tx.lock_call(
            target.call_id,
            alone=request.actor is not None,
            every_phone=every_phone,
            caller=person.phone if person is not None else None,
            ahead=Ahead((request.scope, request.key), attempt_id, action.reads),
        )
    if call is None and person is not None:
        phones = await tx.calls.phones_of_open(*person) if every_phone else [person.phone]
        await tx.lock_contacts(phones, person.contact_id)
    return call


def _person_of(call: Call | None, target: Target) -> Person:
    if call is not None and not call.is_erased:
        return Person(call.phone, call.contact_id)
    if target.attempt is not None:
        raise Retryable("the person was erased during the wait for the locks", RETRY_S)
    raise ActionError("not_found", NOT_FOUND_SAY)


def _with_ignored(reply: Reply, ignored: list[str]) -> Reply:
    """Add the arguments that were ignored to those that the action itself ignored."""
    every = [*reply.result.get("ignored", ()), *ignored]
    return replace(reply, result={**reply.result, "ignored": every}) if ignored else reply


async def _subject(
    tx: UnitOfWork, request: ActionRequest, target: Target, person: Person, call: Call | None
) -> Subject:
    """Read after the locks and after the evidence. `call` is read so too."""
    contact = await tx.contacts.get(person.contact_id)
    if contact is None or (call is not None and call.is_erased):
        # The retry finds no person.
        raise Retryable("the person was erased during the wait for the locks", RETRY_S)
    attempt = await tx.attempts.get(target.attempt.attempt_id) if target.attempt is not None else None
    unfinished = () if call is not None else tuple(await tx.calls.unfinished_of(None, person.contact_id))
    return Subject(request, person.phone, contact, call, attempt, unfinished, target.report)
