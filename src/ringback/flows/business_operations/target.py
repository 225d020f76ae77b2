"""Find the target of a request before the locks are taken."""

import re

from ringback.domain.contact import ERASED
from ringback.flows.business_operations.action import (
    ActionError,
    ActionRequest,
    Person,
    Scope,
    Target,
)
from ringback.flows.erased_people import ids_of
from ringback.storage import Store, UnitOfWork

#: The agent's sentence in an unknown conversation: a web call, another installation, an unfilled template.
NO_CALL_SAY = "Sorry, I cannot do that in this conversation."
#: For systems: an agent's call is known.
WHICH_CALL_SAY = "This person has several calls; say which one is meant."
NOT_FOUND_SAY = "There is no such call, contact or task."
#: The id of a call reaches traces, where no name and no phone number of a client's text may be.
_CALL_ID = re.compile("[0-9A-Za-z-]{1,64}")


async def find_target(request: ActionRequest, store: Store) -> Target:
    """Find the target. Raises ActionError: `no_call` for Retell, `not_found` for systems.

    A call that a system names is not read before the locks, so it may not exist.
    """
    if request.scope is Scope.RETELL:
        return await _of_tool_call(request, store)
    call_id = request.call_id
    if request.task_id is not None:
        async with store.reading() as tx:
            task = await tx.tasks.get(request.task_id)
        if task is None:
            raise ActionError("not_found", NOT_FOUND_SAY)
        call_id = task.call_id
    if call_id is not None:
        if not _CALL_ID.fullmatch(call_id):
            raise ActionError("not_found", NOT_FOUND_SAY)
        return Target(call_id)
    assert request.contact_id is not None, "a system names one of the three ids"
    async with store.reading() as tx:
        return await _of_contact(tx, request.contact_id)


async def person_of_target(target: Target, store: Store) -> Person:
    """Read the person without locks. Raises ActionError `not_found`."""
    if target.person is not None:
        return target.person
    assert target.call_id is not None, "a target without a call has a person"
    async with store.reading() as tx:
        person = await tx.calls.person_of(target.call_id)
    if person is None or person[0] == ERASED:
        raise ActionError("not_found", NOT_FOUND_SAY)
    return Person(*person)


async def _of_tool_call(request: ActionRequest, store: Store) -> Target:
    report, own_instance = request.report, await store.instance()
    if report is not None and report.instance not in (None, own_instance):
        raise ActionError("no_call", NO_CALL_SAY)
    # The ids come from the signed call object or from a constant that the model cannot write. A function therefore
    # reaches only the contact of its own call.
    attempt = None
    if request.attempt_id is not None or request.provider_call_id is not None:
        attempt = await store.attempt_of(request.attempt_id, request.provider_call_id)
    if attempt is not None and attempt.is_erased:
        raise ActionError("no_call", NO_CALL_SAY)
    if attempt is not None:
        return Target(attempt.call_id, attempt=attempt)
    if request.attempt_id is not None and await store.attempt_of(request.attempt_id, None) is not None:
        # The marks of an attempt on another attempt's call. The conversation is unknown.
        raise ActionError("no_call", NO_CALL_SAY)
    async with store.reading() as tx:
        # An inbound call is found by the ids that Ringback set on it. A contact in its metadata does not count.
        if await tx.is_erased(ids_of_request(request)):
            raise ActionError("no_call", NO_CALL_SAY)
        inbound_id = report.inbound_id if report is not None else request.attempt_id
        inbound = await tx.inbound_calls.find(inbound_id, request.provider_call_id)
        contact = await tx.contacts.get(inbound.contact_id) if inbound is not None else None
        if inbound is None or contact is None:
            raise ActionError("no_call", NO_CALL_SAY)
        call_id = await tx.calls.next_or_last_of(contact.contact_id)
        return Target(call_id, Person(inbound.phone, contact.contact_id))


def ids_of_request(request: ActionRequest) -> list[str | None]:
    """All ids by which a function call may name its conversation."""
    own = [request.attempt_id, request.provider_call_id]
    return own + (ids_of(request.report) if request.report is not None else [])


async def _of_contact(tx: UnitOfWork, contact_id: str) -> Target:
    contact = await tx.contacts.get(contact_id)
    if contact is None or contact.phone == ERASED:
        raise ActionError("not_found", NOT_FOUND_SAY)
    unfinished = await tx.calls.unfinished_of(None, contact_id)
    if len(unfinished) == 1:
        return Target(unfinished[0])
    return Target(None, Person(contact.phone, contact_id))
