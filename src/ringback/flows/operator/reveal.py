"""Reveal a phone number that the console masks. The entry of the audit log is committed before the number is shown."""

from dataclasses import dataclass

from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.ports import Clock
from ringback.storage import Store


@dataclass(frozen=True, slots=True)
class PhoneReveal:
    """Both methods return None if there is no such call or contact, and raise Retryable."""

    store: Store
    clock: Clock

    async def of_call(self, call_id: str, actor: Actor) -> str | None:
        async with self.store.transaction() as tx:
            person = await tx.calls.person_of(call_id)
            if person is None:
                return None
            await tx.audit.record(self._entry(actor, call_id, "call"))
        return person[0]

    async def of_contact(self, contact_id: str, actor: Actor) -> str | None:
        """The entry names the contact's next or last call, because an erasure keeps the ids of calls only."""
        async with self.store.transaction() as tx:
            contact = await tx.contacts.get(contact_id)
            if contact is None:
                return None
            call_id = await tx.calls.next_or_last_of(contact_id)
            await tx.audit.record(self._entry(actor, call_id, "contact"))
        return contact.phone

    def _entry(self, actor: Actor, call_id: str | None, of: str) -> AuditEntry:
        named = f"call:{call_id}" if call_id is not None else None
        return AuditEntry(self.clock.now(), actor, AuditAction.PHONE_REVEALED, named, {"of": of})
