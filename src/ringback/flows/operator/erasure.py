"""Erase a person: end what is planned, then leave nothing that can be read, but let a stop go on working."""

from datetime import datetime
from typing import Protocol

import structlog

from ringback.domain.contact import Erased
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.flows.ending_calls import cancel_call
from ringback.ports import Clock, Store

#: A call may be accepted between the end of the last one and the locks.
TRIES = 5

_log = structlog.get_logger(__name__)


class Eraser(Protocol):
    """Both take a phone in E.164, and with it every contact that has or had it. Raise Retryable, which never quotes the
    person."""

    async def unfinished_calls(self, phone: str) -> list[str]: ...

    async def erase(self, phone: str, reason: str, now: datetime) -> Erased | None:
        """In one transaction, under the person's locks. None: there is an unfinished call again, or another contact.
        Raises StillInProgress, and ErasureKeyMissing."""
        ...


async def erase_person(store: Store, eraser: Eraser, clock: Clock, phone: str, reason: str) -> Erased:
    """Doing it again finds nothing more. Engage still hears the end of each call that this ends, under its own contact
    id and with nothing else. Raises StillInProgress, and Retryable."""
    for _ in range(TRIES):
        for call_id in await eraser.unfinished_calls(phone):
            await cancel_call(store, clock, call_id)
        try:
            erased = await eraser.erase(phone, reason, clock.now())
        except StoreUnavailable:
            raise
        except Retryable:
            continue  # another transaction wrote about the person meanwhile
        if erased is not None:
            # No number, no id: a log outlives what it tells of.
            _log.info("person.erased", **erased.rows)
            return erased
    raise Retryable("new calls to this person come in as fast as they are ended: let Engage stop them first")
