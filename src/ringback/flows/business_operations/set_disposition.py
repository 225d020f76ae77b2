"""set_disposition: file the conversation under a code of the catalogue; one that suppresses ends all dialing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.catalog import Catalog, DispositionCode
from ringback.flows.business_operations.action import ActionRefused, Reply, Subject
from ringback.flows.business_operations.arguments import read_texts
from ringback.flows.suppression import suppress
from ringback.ports import Disposition, Suppression, Transaction

ARGUMENTS = {"code": 64, "note": 2000}


@dataclass(frozen=True, slots=True)
class SetDisposition:
    catalog: Catalog
    new_id: Callable[[], str]
    stops_dialing: bool = True

    async def do(self, tx: Transaction, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        texts = read_texts(args, ARGUMENTS)
        disposition = self._known(texts.get("code"))
        await self._record(tx, subject, disposition, texts.get("note"), now)
        if disposition.suppresses:
            await self._suppress(tx, subject, disposition, now)
        return _reply("disposition_set", disposition)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        return _reply("rehearsed", self._known(read_texts(args, ARGUMENTS).get("code")))

    def _known(self, code: str | None) -> DispositionCode:
        known = self.catalog.dispositions.get(code or "")
        if known is None:
            valid = list(self.catalog.dispositions)
            say = "Sorry, I could not file this conversation."
            raise ActionRefused("unknown_disposition", say, {"valid": valid})
        return known

    async def _record(
        self, tx: Transaction, subject: Subject, disposition: DispositionCode, note: str | None, now: datetime
    ) -> None:
        attempt = subject.attempt
        await tx.add_disposition(
            Disposition(
                disposition_id=self.new_id(),
                call_id=subject.call.call_id if subject.call else None,
                attempt_id=attempt.attempt_id if attempt else None,
                contact_id=subject.contact.contact_id,
                code=disposition.code,
                note=note,
                at=now,
            )
        )
        if attempt is not None:
            attempt.business["disposition"] = disposition.code
            await tx.save(attempt)

    async def _suppress(self, tx: Transaction, subject: Subject, disposition: DispositionCode, now: datetime) -> None:
        # The number that was talked to, which the contact may have changed since the call was accepted.
        phone = subject.call.phone if subject.call else subject.contact.phone
        contact_id = subject.contact.contact_id
        suppression = Suppression(self.new_id(), phone, contact_id, disposition.code, subject.source, now)
        await suppress(tx, suppression, now, in_hand=subject.call)


def _reply(code: str, disposition: DispositionCode) -> Reply:
    say = "Understood, we will not call you again." if disposition.suppresses else "Thank you, I have noted that."
    return Reply(True, code, say, {"code": disposition.code, "suppressed": disposition.suppresses})
