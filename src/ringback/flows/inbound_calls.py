"""Record an inbound call, and hold the caller's tasks until that call ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.domain.abt_event import iso
from ringback.domain.call import InboundCall, Task, TaskStatus
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.failpoints import Failpoint, reach
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.caller_ids import caller_number, own_number
from ringback.flows.suppression import suppress
from ringback.storage import Suppression, UnitOfWork

#: The provider asks up to four times, ten seconds each, while one call rings.
RINGS_AT_MOST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller.

    `phone` is canonical. So is `to_number`, if it could be read. `called_at` is when it rang, or else when it was
    answered.
    """

    phone: str
    contact_id: str
    to_number: str
    provider_call_id: str | None
    called_at: datetime


async def hold_for(tx: UnitOfWork, caller: Caller, rules: OutcomeRules, now: datetime) -> InboundCall:
    """Record the call and hold the person's tasks, dispatched ones too. The people's locks must be held."""
    inbound, is_new = await _find_or_make(tx, caller, rules)
    # Everything is read before the first write, so that all writes are one round trip: a phone is ringing.
    to_hold: list[tuple[Task, datetime]] = []
    if inbound.hold_until > now and inbound.released_at is None:
        for call_id in await tx.calls.unfinished_of(caller.phone, caller.contact_id):
            call, task = await tx.lock_call(call_id), await tx.tasks.open_for(call_id)
            if call is None or task is None:
                continue
            # The person may be on several inbound calls.
            other = await tx.inbound_calls.held_until(call.phone, call.contact_id)
            to_hold.append((task, max(other or inbound.hold_until, inbound.hold_until)))
    await (tx.insert if is_new else tx.save)(inbound)
    for task, until in to_hold:
        task.due_before_hold, task.due_at = task.planned_at, until
        task.status, task.dispatched_at = TaskStatus.HELD, None
        await tx.save(task)
        detail = {"inbound_id": inbound.inbound_id, "until": iso(until), "task_id": task.task_id}
        await tx.decisions.log(task.call_id, None, "held_by_inbound_call", detail, now)
    reach(Failpoint.INBOUND_HELD)
    return inbound


async def _record_inbound(tx: UnitOfWork, caller: Caller, rules: OutcomeRules, now: datetime) -> InboundCall:
    inbound, is_new = await _find_or_make(tx, caller, rules)
    await (tx.insert if is_new else tx.save)(inbound)
    return inbound


async def _find_or_make(tx: UnitOfWork, caller: Caller, rules: OutcomeRules) -> tuple[InboundCall, bool]:
    """Return the call's row, changed but not saved, and whether it is new.

    The provider repeats its question while it rings, and names the call once it has an id.
    """
    known = None
    if caller.provider_call_id is not None:
        known = await tx.inbound_calls.find(None, caller.provider_call_id)
    since = caller.called_at - RINGS_AT_MOST
    known = known or await tx.inbound_calls.find_ringing(caller.phone, caller.to_number, since)
    if known is not None:
        known.provider_call_id = known.provider_call_id or caller.provider_call_id
        return known, False
    inbound = InboundCall(
        inbound_id=rules.new_id(),
        provider_call_id=caller.provider_call_id,
        phone=caller.phone,
        to_number=caller.to_number,
        contact_id=caller.contact_id,
        rang_at=caller.called_at,
        hold_until=caller.called_at + timedelta(seconds=rules.deadlines.inbound_hold_s),
    )
    return inbound, True


async def lock_caller(tx: UnitOfWork, report: ProviderReport, rules: OutcomeRules) -> tuple[str, str | None] | None:
    """Take the locks of the caller. Returns their phone and contact id. None if the phone is withheld."""
    known = await tx.inbound_calls.find(report.inbound_id, report.provider_call_id)
    phone = known.phone if known else caller_number(report.from_number, report.to_number, rules)
    if phone is None:
        return None
    contact_id = known.contact_id if known else await tx.contacts.id_by_phone(phone)
    await tx.lock_contacts(await tx.calls.phones_of_open(phone, contact_id), contact_id)
    if contact_id is not None and await tx.contacts.get(contact_id) is None:
        contact_id = None  # erased during the wait for the locks
    return phone, contact_id


async def apply_inbound(
    tx: UnitOfWork,
    report: ProviderReport,
    locked: tuple[str, str | None] | None,
    rules: OutcomeRules,
    now: datetime,
) -> None:
    """Apply the provider's report of an inbound call from the locked caller. An opt-out counts here too."""
    if locked is None:
        return
    phone, contact_id = locked
    inbound = await tx.inbound_calls.find(report.inbound_id, report.provider_call_id)
    if inbound is None and contact_id is not None:
        # It was answered without Ringback: the database was unavailable while it rang.
        called_at = report.started_at or now
        to_number = own_number(report.to_number, rules) or report.to_number or ""
        caller = Caller(phone, contact_id, to_number, report.provider_call_id, called_at)
        record = hold_for if report.kind is ReportKind.STARTED else _record_inbound
        inbound = await record(tx, caller, rules, now)
    if inbound is not None:
        inbound.provider_call_id = report.provider_call_id
        inbound.started_at = inbound.started_at or report.started_at
        inbound.ended_at = inbound.ended_at or report.ended_at
        if report.duration_ms is not None:
            inbound.duration_ms = report.duration_ms
        inbound.disconnection_reason = report.disconnection_reason or inbound.disconnection_reason
        if report.kind in (ReportKind.ENDED, ReportKind.ANALYZED):
            await _release(tx, inbound, now)
        await tx.save(inbound)
    if report.says_stop:
        is_known_of_contact = contact_id is None or await tx.suppressions.covers("", contact_id)
        if not (is_known_of_contact and await tx.suppressions.covers(phone, "")):
            asked_at = report.ended_at or now
            await suppress(tx, Suppression(rules.new_id(), phone, contact_id, "opt_out", "provider", asked_at), now)


async def _release(tx: UnitOfWork, inbound: InboundCall, now: datetime) -> None:
    if inbound.released_at is not None:
        return
    inbound.released_at = now
    await tx.save(inbound)  # first, so that it no longer counts among the holds in force
    for call_id in await tx.calls.unfinished_of(inbound.phone, inbound.contact_id):
        call, task = await tx.lock_call(call_id), await tx.tasks.open_for(call_id)
        if call is None or task is None or task.status is not TaskStatus.HELD:
            continue
        held_until = await tx.inbound_calls.held_until(call.phone, call.contact_id)
        if held_until is not None and held_until > now:
            task.due_at = held_until
            await tx.save(task)
            continue
        task.due_at, task.due_before_hold = max(task.planned_at, now), None
        task.status = TaskStatus.PENDING
        await tx.save(task)
        detail = {"inbound_id": inbound.inbound_id, "task_id": task.task_id}
        await tx.decisions.log(call_id, None, "released_after_inbound_call", detail, now)
