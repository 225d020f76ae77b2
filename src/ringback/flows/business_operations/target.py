"""Whom a request is about, read before the locks: their phone must be known to be locked in order."""

from dataclasses import dataclass

from ringback.domain.attempt import Attempt
from ringback.flows.business_operations.action import ActionRefused, ActionRequest, Door
from ringback.ports import Store

#: What an agent says when its conversation is none of ours: a web call, another installation, an unfilled template.
NO_CALL_SAY = "Sorry, I cannot do that in this conversation."
NOT_FOUND_SAY = "There is no such call, contact or task."


@dataclass(frozen=True, slots=True)
class Target:
    """`call_id` is None for a contact with no unfinished call or several (`unfinished` lists them); `attempt` is the
    one that a tool call belongs to."""

    phone: str
    contact_id: str
    call_id: str | None
    attempt: Attempt | None = None
    unfinished: tuple[str, ...] = ()


async def find_target(request: ActionRequest, store: Store) -> Target:
    """Raises ActionRefused `no_call` at Retell's door, `not_found` at the systems'."""
    if request.door is Door.RETELL:
        return await _of_tool_call(request, store)
    if request.call_id is not None:
        return await _of_call(request.call_id, store)
    if request.task_id is not None:
        return await _of_task(request.task_id, store)
    assert request.contact_id is not None, "the systems' door takes one of the three ids"
    return await _of_contact(request.contact_id, store)


async def _of_tool_call(request: ActionRequest, store: Store) -> Target:
    report = request.report
    if report is not None and report.instance not in (None, await store.instance()):
        raise ActionRefused("no_call", NO_CALL_SAY)
    # The ids come from the signed call object or from a constant that the model cannot write, so a tool reaches only
    # the contact of its own call.
    attempt = None
    if request.attempt_id is not None or request.provider_call_id is not None:
        attempt = await store.attempt_of(request.attempt_id, request.provider_call_id)
    if attempt is None:
        raise ActionRefused("no_call", NO_CALL_SAY)
    return Target(attempt.phone, attempt.contact_id, attempt.call_id, attempt)


async def _of_call(call_id: str, store: Store) -> Target:
    async with store.transaction() as tx:
        call = await tx.lock_call(call_id)
    if call is None:
        raise ActionRefused("not_found", NOT_FOUND_SAY)
    return Target(call.phone, call.contact_id, call_id)


async def _of_task(task_id: str, store: Store) -> Target:
    async with store.transaction() as tx:
        task = await tx.task(task_id)
    if task is None:
        raise ActionRefused("not_found", NOT_FOUND_SAY)
    return await _of_call(task.call_id, store)


async def _of_contact(contact_id: str, store: Store) -> Target:
    async with store.transaction() as tx:
        contact = await tx.contact(contact_id)
        unfinished = await tx.unfinished_calls(None, contact_id)
    if contact is None:
        raise ActionRefused("not_found", NOT_FOUND_SAY)
    call_id = unfinished[0] if len(unfinished) == 1 else None
    return Target(contact.phone, contact_id, call_id, unfinished=tuple(unfinished))
