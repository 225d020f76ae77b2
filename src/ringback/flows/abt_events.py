"""Emit ABT events as projections of committed facts: each once, in the call's own sequence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import OWN_DATA, AbtEvent, AbtType, FailReason, event_id, iso, rescheduled_event_id
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call, Task
from ringback.domain.outcome import TerminalEvent, occurred_at, verdict_data
from ringback.storage import UnitOfWork


@dataclass(frozen=True, slots=True)
class CustomEvent:
    """A custom event of the installation. `fact_id` distinguishes two events of a type."""

    fact_id: str
    type: str
    data: Mapping[str, Any]


def _event(
    call: Call, attempt: Attempt | None, type_: str, id_: str, moment: datetime, extra: Mapping[str, Any]
) -> AbtEvent:
    call.sequence += 1
    data: dict[str, Any] = {
        "call_id": call.call_id,
        "contact_id": call.contact_id,
        "attempt": attempt.number if attempt else None,
        "attempt_id": attempt.attempt_id if attempt else None,
    }
    if attempt is not None and attempt.provider_call_id is not None:
        data["provider_call_id"] = attempt.provider_call_id
    data |= {"sequence": call.sequence, "occurred_at": iso(moment), "metadata": call.metadata}
    data |= {name: iso(value) if isinstance(value, datetime) else value for name, value in extra.items()}
    return AbtEvent(id_, type_, call.call_id, moment, data)


async def emit_initiated(tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime) -> None:
    if attempt.initiated_event:
        return
    assert attempt.placed_at is not None, "an initiated attempt was placed"
    attempt.initiated_event = True
    id_ = event_id(attempt.attempt_id, "initiated")
    extra = {"placed_at": attempt.placed_at}
    await tx.outbox.enqueue_event(_event(call, attempt, AbtType.INITIATED, id_, attempt.placed_at, extra), now)


async def emit_started(tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime) -> None:
    moment = attempt.started_at or attempt.placed_at
    assert moment is not None, "a connected attempt was placed"
    attempt.started_event = True
    id_ = event_id(attempt.attempt_id, "started")
    await tx.outbox.enqueue_event(_event(call, attempt, AbtType.STARTED, id_, moment, {"started_at": moment}), now)


async def emit_terminal(tx: UnitOfWork, call: Call, attempt: Attempt, event: TerminalEvent, now: datetime) -> None:
    """Emit the attempt's terminal event, or its correction when one was emitted before."""
    verdict = event.verdict
    extra = verdict_data(attempt, verdict)
    if verdict.reason is FailReason.OUTCOME_UNKNOWN:
        extra["attempted"] = None
    if verdict.reason is FailReason.REFUSED and attempt.placed_at is None:
        extra["attempted"] = False
    if verdict.is_failure:
        call.reason = verdict.reason
        extra |= {"will_retry": event.next_at is not None, "next_attempt_at": event.next_at}
    elif verdict.type is AbtType.LEFT_VOICEMAIL and event.next_at is not None:
        extra["next_attempt_at"] = event.next_at
    extra["is_final"] = event.is_final
    if event.corrects is not None:
        extra |= {"corrects": event.corrects, "revision": event.revision}
    attempt.revision = event.revision
    await tx.outbox.enqueue_event(_event(call, attempt, verdict.type, event.event_id, occurred_at(attempt), extra), now)


def closing_event(call: Call, reason: FailReason, now: datetime) -> AbtEvent:
    """The final event of a call that will not be dialed (again)."""
    call.reason = reason
    extra = {
        "reason": reason,
        "provider_reason": None,
        "attempted": False,
        "will_retry": False,
        "next_attempt_at": None,
        "is_final": True,
    }
    return _event(call, None, AbtType.FAILED, event_id(call.call_id, "closed"), now, extra)


async def emit_closing(tx: UnitOfWork, call: Call, reason: FailReason, now: datetime) -> str:
    """Emit the final event of a call. Returns its id."""
    event = closing_event(call, reason, now)
    await tx.outbox.enqueue_event(event, now)
    return event.event_id


async def emit_rescheduled(
    tx: UnitOfWork, call: Call, attempt: Attempt | None, task: Task, previous_due_at: datetime | None, now: datetime
) -> None:
    """Emit the event for a new task. Its `source` and `reason` say where the change came from."""
    extra = {
        "task_id": task.task_id,
        "due_at": task.due_at,
        "previous_due_at": previous_due_at,
        "local_time": task.local_time,
        "time_zone": task.time_zone,
        "source": task.source,
        "reason": task.reason,
    }
    event = _event(call, attempt, AbtType.RESCHEDULED, rescheduled_event_id(task.task_id), now, extra)
    await tx.outbox.enqueue_event(event, now)


async def emit_custom(tx: UnitOfWork, call: Call, attempt: Attempt | None, custom: CustomEvent, now: datetime) -> str:
    """Emit a custom event. Returns its id. The event says nothing about the call's outcome."""
    assert not OWN_DATA & custom.data.keys(), "checked before"
    id_ = event_id(custom.fact_id, "custom")
    await tx.outbox.enqueue_event(_event(call, attempt, custom.type, id_, now, custom.data), now)
    return id_
