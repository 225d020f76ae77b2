"""delete_scheduled_task: delete a pending task, so that it does not dial, and end its call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import FailReason
from ringback.domain.attempt import Attempt, awaits_verdict
from ringback.domain.call import OPEN_TASK, Call, Task, TaskStatus, update_status
from ringback.flows.business_operations.action import ActionDeclaration, ActionError, Reply, Subject
from ringback.flows.business_operations.arguments import arguments, read_texts, text
from ringback.flows.business_operations.target import find_target
from ringback.flows.ending_calls import end_call
from ringback.storage import Part, UnitOfWork

DELETED_SAY = "Done, we will not call you for that any more."

DECLARATION = ActionDeclaration(
    name="delete_scheduled_task",
    description="Cancel the callback or the next call that is planned for the person.",
    arguments=arguments({"reason": text(500, "Why, in a few words.")}),
    codes={
        "deleted": "It will not dial. A call that nothing else could end is closed with its final event.",
        "already_dispatched": "It is being dialed, or was; nothing was changed.",
        "not_found": "Nothing is planned.",
    },
    result={
        "task_id": "The deleted task, the first due one if the contact had several.",
        "task_ids": "All that were deleted.",
    },
)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A task with its call and latest attempt, read under the call's lock."""

    call: Call
    task: Task
    attempt: Attempt | None  # the latest

    @property
    def is_being_dialed(self) -> bool:
        """Whether the task would resend a request that may be ringing already."""
        return self.attempt is not None and self.attempt.task_id == self.task.task_id and awaits_verdict(self.attempt)


@dataclass(frozen=True, slots=True)
class DeleteScheduledTask:
    locks_every_phone: bool = True
    reads: Part | None = Part.PLAN
    declaration: ActionDeclaration = DECLARATION
    find = staticmethod(find_target)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        reason = read_texts(args, DECLARATION.arguments).get("reason")
        if subject.request.task_id is not None:
            named = await tx.tasks.get(subject.request.task_id)
            if named is not None and named.status is TaskStatus.DELETED:
                # A second deletion is no error, because nothing dials.
                return _reply([named.task_id])
        planned: list[_Planned] = []
        for call_id in [subject.call.call_id] if subject.call else subject.unfinished:
            call, task = await tx.lock_call(call_id), await tx.tasks.open_for(call_id)
            if call is None or task is None or subject.request.task_id not in (None, task.task_id):
                continue
            found = _Planned(call, task, await tx.attempts.latest_for(call_id))
            if not found.is_being_dialed:
                planned.append(found)
        if not planned:
            raise await _refusal(tx, subject)
        planned.sort(key=lambda each: each.task.planned_at)
        for each in planned:
            detail = {"task_id": each.task.task_id, "source": subject.source, "reason": reason}
            await tx.decisions.log(each.call.call_id, None, "task_deleted", detail, now)
            if subject.attempt is not None and awaits_verdict(each.attempt):
                # The conversation continues. It may promise another time, or else it ends the call.
                each.task.status = TaskStatus.DELETED
                await tx.save(each.task)
                update_status(each.call, None, each.attempt)
                await tx.save(each.call)
            else:
                await end_call(tx, each.call, each.task, each.attempt, FailReason.CANCELLED, now)
        return _reply([each.task.task_id for each in planned])

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        read_texts(args, DECLARATION.arguments)
        return Reply(True, "rehearsed", DELETED_SAY, {"task_id": None, "task_ids": []})


async def _refusal(tx: UnitOfWork, subject: Subject) -> ActionError:
    """The reply if nothing is left to delete: it was dialed, or there was no task."""
    dialed = ActionError("already_dispatched", "That call is being made already.")
    not_found = ActionError("not_found", "There is no call planned that I could cancel.")
    if subject.request.task_id is not None:
        task = await tx.tasks.get(subject.request.task_id)
        was_dialed = task is not None and (task.status is TaskStatus.CONSUMED or task.status in OPEN_TASK)
        return dialed if was_dialed else not_found
    if subject.attempt is not None:
        # In the conversation itself the call is in progress anyway.
        return not_found
    for call_id in [subject.call.call_id] if subject.call else subject.unfinished:
        if awaits_verdict(await tx.attempts.latest_for(call_id)):
            return dialed
    return not_found


def _reply(task_ids: list[str]) -> Reply:
    return Reply(True, "deleted", DELETED_SAY, {"task_id": task_ids[0], "task_ids": task_ids})
