"""set_disposition: file the conversation under a code of the catalogue; one that suppresses ends all dialing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.catalog import Catalog, DispositionCode
from ringback.domain.contact import Disposition
from ringback.domain.disposition_words import disposition_of, is_opt_out
from ringback.flows.business_operations.action import (
    SOURCE,
    ActionDeclaration,
    ActionError,
    ActionRequest,
    Reply,
    Scope,
    Subject,
    Target,
)
from ringback.flows.business_operations.arguments import arguments, read_texts, text
from ringback.flows.business_operations.target import find_target, ids_of_request
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.erased_people import person_of
from ringback.flows.suppression import suppress
from ringback.storage import Part, Store, Suppression, UnitOfWork

#: Longer than any code: a model may write the person's own words instead, and an opt-out among them counts.
MAX_CODE_CHARS = 200


def declare(catalog: Catalog) -> ActionDeclaration:
    suppressing = ", ".join(code for code, known in catalog.dispositions.items() if known.suppresses)
    described = [f" {code}: {known.description}" for code, known in catalog.dispositions.items() if known.description]
    how = f"How the conversation went.{''.join(described)} Never called again after: {suppressing}."
    properties = {
        "code": text(MAX_CODE_CHARS, how, catalog.dispositions),
        "note": text(2000, "Anything worth keeping about it, in a sentence."),
    }
    return ActionDeclaration(
        name="set_disposition",
        description=(
            "File how the conversation went. Call it once, when that is clear, and at once when the person asks not to "
            "be called again."
        ),
        arguments=arguments(properties, "code"),
        codes={
            "disposition_set": "It is kept, and a suppression with it if the code is one that suppresses.",
            "unknown_disposition": "The code is not in the catalogue; `result.valid` lists those that are.",
        },
        result={"code": "The code.", "suppressed": "Whether the person will never be called again."},
    )


@dataclass(frozen=True, slots=True)
class SetDisposition:
    catalog: Catalog
    rules: OutcomeRules
    now: Callable[[], datetime]
    locks_every_phone: bool = True
    reads: Part | None = None

    @property
    def declaration(self) -> ActionDeclaration:
        return declare(self.catalog)

    async def find(self, request: ActionRequest, store: Store) -> Target | Reply:
        try:
            return await find_target(request, store)
        except ActionError:
            reply = await self._of_unknown_caller(request, store)
            if reply is None:
                raise
            return reply

    async def _of_unknown_caller(self, request: ActionRequest, store: Store) -> Reply | None:
        """Suppress the number of an unknown caller who asks for it. Engage may name that number later.

        An erased person's number is kept as a hash.
        """
        report = request.report
        if report is None or report.instance not in (None, await store.instance()):
            return None
        is_erased = await store.is_erased(ids_of_request(request))
        if report.direction != "inbound" and not is_erased:
            return None
        texts = read_texts(request.args, self.declaration.arguments)
        disposition = self._known(texts.get("code"), request.scope)
        phone = person_of(report, self.rules)
        if phone is None or not disposition.suppresses:
            return None  # withheld: there is no number to suppress
        now = self.now()
        async with store.transaction() as tx:
            await tx.lock_contacts(await tx.calls.phones_of_open(phone, None), None)
            if not await tx.suppressions.covers(phone, ""):
                source = SOURCE[request.scope]
                stop = Suppression(self.rules.new_id(), phone, None, disposition.code, source, now, of_erased=is_erased)
                await suppress(tx, stop, now)
        return _reply("disposition_set", disposition)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        texts = read_texts(args, self.declaration.arguments)
        disposition = self._known(texts.get("code"), subject.request.scope)
        await tx.action_results.add_disposition(
            Disposition(
                disposition_id=self.rules.new_id(),
                call_id=subject.origin.call_id,
                attempt_id=subject.origin.attempt_id,
                contact_id=subject.origin.contact_id,
                code=disposition.code,
                note=texts.get("note"),
                at=now,
            )
        )
        if subject.attempt is not None:
            subject.attempt.business["disposition"] = disposition.code
            if is_opt_out(disposition):
                subject.attempt.business["opt_out"] = True
            await tx.save(subject.attempt)
        if disposition.suppresses:
            # The number of the conversation. The contact's may have changed since the call was accepted.
            phone, contact_id = subject.phone, subject.contact.contact_id
            suppression = Suppression(self.rules.new_id(), phone, contact_id, disposition.code, subject.source, now)
            await suppress(tx, suppression, now)
        if subject.call is not None and subject.attempt is not None and is_opt_out(disposition):
            # A later report of this attempt has the opt-out too. It must not renew a suppression that was lifted since.
            subject.call.no_more_retries = "opt_out"
            await tx.save(subject.call)
        return _reply("disposition_set", disposition)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        return _reply("rehearsed", self._known(read_texts(args, self.declaration.arguments).get("code"), Scope.RETELL))

    def _known(self, code: str | None, scope: Scope) -> DispositionCode:
        """Find the code. Systems must use the catalogue's codes, in any case. An agent's words are interpreted."""
        known = self.catalog.dispositions.get((code or "").lower())
        if known is None and code is not None and scope is Scope.RETELL:
            known = disposition_of(code, self.catalog.dispositions)
        if known is None:
            valid = list(self.catalog.dispositions)
            say = "Sorry, I could not file this conversation."
            raise ActionError("unknown_disposition", say, {"valid": valid})
        return known


def _reply(code: str, disposition: DispositionCode) -> Reply:
    say = "Understood, we will not call you again." if disposition.suppresses else "Thank you, I have noted that."
    return Reply(True, code, say, {"code": disposition.code, "suppressed": disposition.suppresses})
