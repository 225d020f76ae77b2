"""Is this request a repeat of one that was done? Each door answers by its keys, and Retell's may be mere content."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ringback.flows.business_operations.action import ActionRequest, ActionTransaction, Door, Reply

#: Retell sends a function again when no answer came: by our tool definitions twice, 12 s apart and a pause. Twice that.
REPEATED_WITHIN = timedelta(seconds=60)

#: Actions after which the same words are a new wish, and the earlier reply no longer true. A note or an event that
#: comes again so soon is a repeat whatever was done between.
_MOVES_TASKS = ("reschedule_call", "delete_scheduled_task")
UNDONE_BY: Mapping[str, tuple[str, ...]] = {
    "reschedule_call": _MOVES_TASKS,
    "delete_scheduled_task": _MOVES_TASKS,
    "field_writeback": ("field_writeback",),
    "update_timezone": ("update_timezone",),
    "set_disposition": ("set_disposition",),
}


async def find_repeated(
    tx: ActionTransaction, request: ActionRequest, now: datetime
) -> tuple[ActionRequest, Reply | None]:
    """The request under the key that its result is stored under, and the reply it had if it is a repeat.

    At Retell's door one id with other arguments is another call: of two calls in one turn the transcript may show one
    id alone. At the systems' door it is `key_reused`.
    """
    if request.key_is_content:
        undone_by = UNDONE_BY.get(request.action, ())
        await tx.free_content_key(request.door, request.key, now - REPEATED_WITHIN, undone_by)
    known = await tx.action_result(request.door, request.key)
    if known is not None and known[0] != request.fingerprint and request.door is Door.RETELL:
        request = replace(request, key=f"{request.key}:{request.fingerprint}")
        known = await tx.action_result(request.door, request.key)
    return request, None if known is None else _reply(request, *known)


def _reply(request: ActionRequest, fingerprint: str, stored: Mapping[str, Any]) -> Reply:
    if fingerprint != request.fingerprint:
        return Reply(False, "key_reused", "This idempotency key was used for another request.")
    return Reply.from_json(stored)
