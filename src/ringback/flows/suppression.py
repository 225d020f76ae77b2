"""Suppress a person. The suppression is durable before it is acknowledged. No later claim dials the person."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ringback.domain.abt_event import FailReason
from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.failpoints import Failpoint, reach
from ringback.flows.ending_calls import end_call
from ringback.ports import Clock
from ringback.storage import Store, Suppression, UnitOfWork


async def suppress(tx: UnitOfWork, suppression: Suppression, now: datetime) -> list[str]:
    """Write the suppression, and end every matching unfinished call as of the time of the request.

    The people's locks must be held. Returns the attempts that are possibly ringing.
    """
    await tx.suppressions.add(suppression)
    return await _end_calls(tx, suppression, now)


async def _end_calls(tx: UnitOfWork, suppression: Suppression, now: datetime) -> list[str]:
    phone, contact_id = suppression.phone, suppression.contact_id
    for call_id in await tx.calls.unfinished_of(phone, contact_id):
        call = await tx.lock_call(call_id)
        if call is None or call.final:
            continue
        task = await tx.tasks.open_for(call_id)
        attempt = await tx.attempts.latest_for(call_id)
        asked_at = max(suppression.created_at, call.accepted_at)
        await end_call(tx, call, task, attempt, FailReason.SUPPRESSED, asked_at)
        await tx.decisions.log(call_id, None, "suppressed", {"source": suppression.source}, now)
    reach(Failpoint.SUPPRESSED)
    return await tx.attempts.possibly_ringing(phone, contact_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionOrder:
    """A person's or a system's order to suppress a phone, a contact, or both."""

    phone: str | None
    contact_id: str | None
    reason: str
    actor: Actor


class Suppressed(NamedTuple):
    """`is_new`: False if the person was suppressed before, by the suppression of this id."""

    suppression_id: str
    already_dispatched: list[str]
    is_new: bool


async def suppress_now(store: Store, clock: Clock, new_id: Callable[[], str], order: SuppressionOrder) -> Suppressed:
    """Suppress for the API. `already_dispatched` are the attempts that are possibly ringing."""
    now, phone, contact_id = clock.now(), order.phone, order.contact_id
    suppression = Suppression(new_id(), phone, contact_id, order.reason, "api", now)
    named = [name for name, value in (("phone", phone), ("contact", contact_id)) if value is not None]
    entry = AuditEntry(
        now, order.actor, AuditAction.SUPPRESSION_ADDED, f"suppression:{suppression.suppression_id}", {"of": named}
    )
    async with store.transaction() as tx:
        await tx.lock_contacts(await tx.calls.phones_of_open(phone, contact_id), contact_id)
        known = await tx.suppressions.id_in_force(phone, contact_id)
        if known is not None:
            # A second suppression would stay in force after the first is lifted.
            return Suppressed(known, await _end_calls(tx, suppression, now), is_new=False)
        await tx.audit.record(entry)
        return Suppressed(suppression.suppression_id, await suppress(tx, suppression, now), is_new=True)


async def lift_suppression(store: Store, clock: Clock, suppression_id: str, reason: str, actor: Actor) -> bool:
    """Allow new calls again. Calls that the suppression ended stay ended. Returns False if it is not in force."""
    now = clock.now()
    async with store.transaction() as tx:
        is_lifted = await tx.suppressions.lift(suppression_id, reason, now)
        if is_lifted:
            lifted = AuditEntry(now, actor, AuditAction.SUPPRESSION_LIFTED, f"suppression:{suppression_id}")
            await tx.audit.record(lifted)
    return is_lifted
