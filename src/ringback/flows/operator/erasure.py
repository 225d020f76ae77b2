"""Erase a person: end their planned calls, and delete all readable data. A stop stays in force."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.domain.contact import ERASED, Erased
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.flows.ending_calls import cancel_call
from ringback.ports import Clock
from ringback.storage import Store

#: A call may be accepted between the end of the last one and the locks.
TRIES = 5

_log = structlog.get_logger(__name__)


class Eraser(Protocol):
    """The store of erasures. All methods take a phone in E.164, and include every contact that has or had it.

    They raise Retryable, which never quotes the person.
    """

    async def preview(self, phone: str) -> dict[str, int]:
        """Count the main rows of the person, without locks."""
        ...

    async def unfinished_calls(self, phone: str) -> list[str]: ...

    async def erase(self, phone: str, reason: str, entry: AuditEntry) -> Erased | None:
        """Erase in one transaction, under the person's locks, as of the entry's time.

        Records the entry with the numbers of rows. None: a new unfinished call or another contact appeared.

        Raises StillInProgress and ErasureKeyMissing.
        """
        ...


async def erase_person(store: Store, eraser: Eraser, clock: Clock, phone: str, reason: str, actor: Actor) -> Erased:
    """Erase a person. A second erasure finds nothing more. Raises StillInProgress and Retryable.

    Engage still gets the end of each call that the erasure ends, with its own contact id and no other data.
    """
    for _ in range(TRIES):
        for call_id in await eraser.unfinished_calls(phone):
            await cancel_call(store, clock, call_id, actor)
        try:
            erased = await eraser.erase(phone, reason, AuditEntry(clock.now(), actor, AuditAction.PERSON_ERASED))
        except StoreUnavailable:
            raise
        except Retryable:
            continue  # another transaction wrote about the person in between
        if erased is not None:
            # Without number and id, because the log is kept longer than the person's data.
            _log.info("person.erased", **erased.rows)
            return erased
    raise Retryable("new calls to this person come in as fast as they are ended: let Engage stop them first")


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasures of the console, which names a person by a contact too. Every method raises Retryable."""

    store: Store
    eraser: Eraser
    clock: Clock

    async def phone_of(self, contact_id: str) -> str | None:
        """Return the phone by which a contact is erased. None: there is no such contact, or it was erased."""
        async with self.store.transaction() as tx:
            contact = await tx.contacts.get(contact_id)
        return contact.phone if contact is not None and contact.phone != ERASED else None

    async def preview(self, phone: str) -> dict[str, int]:
        return await self.eraser.preview(phone)

    async def erase(self, phone: str, reason: str, actor: Actor) -> Erased:
        """Erase a person as `erase_person` does. Raises StillInProgress."""
        return await erase_person(self.store, self.eraser, self.clock, phone, reason, actor)
