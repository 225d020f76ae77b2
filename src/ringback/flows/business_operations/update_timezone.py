"""update_timezone: set the contact's zone, and move their planned calls accordingly."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import DEFAULT_LIFETIME, Call, Task, TaskStatus
from ringback.domain.callback import CallbackRefused, CallbackRules, into_hours
from ringback.domain.calling_hours import local_time, resolve_local
from ringback.domain.eligibility import DialPolicy
from ringback.domain.instant import say_moment, say_zone
from ringback.domain.phone_number import NumberPlan
from ringback.domain.time_zone import ZoneSource, find_zone, region_zone
from ringback.domain.zone_names import resolve_zone_name
from ringback.flows.abt_events import emit_rescheduled
from ringback.flows.business_operations.action import ActionDeclaration, ActionError, Reply, Scope, Subject
from ringback.flows.business_operations.arguments import arguments, read_texts, refuse_if_any, text
from ringback.flows.business_operations.target import find_target
from ringback.storage import Part, UnitOfWork

SOURCES = (ZoneSource.PERSON, ZoneSource.CRM)
DEFAULT_SOURCE = {Scope.RETELL: ZoneSource.PERSON, Scope.SYSTEMS: ZoneSource.CRM}
ASK_ZONE = "In which time zone are you, for example Eastern or Pacific?"

DECLARATION = ActionDeclaration(
    name="update_timezone",
    description="Keep in which time zone the person is, as soon as they say it; planned calls follow.",
    arguments=arguments(
        {
            "time_zone": text(
                200, 'As the person said it: "Eastern", a state, a city, or a name such as America/New_York.'
            ),
            "source": text(10, "Who says so; leave it out in a conversation.", SOURCES),
        },
        "time_zone",
    ),
    codes={
        "time_zone_set": "It is kept, and the tasks it concerns are moved.",
        "needs_clarification": "The words mean several zones (`result.candidates`) or none; `say` asks for it.",
        "outranked": "What the person said stands; the CRM's word does not replace it.",
    },
    result={
        "time_zone": "The IANA name that is kept.",
        "moved": "A list of `{task_id, due_at, local_time, time_zone}`, one for each task that is due at another time.",
    },
)


@dataclass(frozen=True, slots=True)
class _Move:
    """The move of one task to another due time."""

    call: Call
    attempt: Attempt | None  # the call's latest
    old: Task
    new: Task


@dataclass(frozen=True, slots=True)
class UpdateTimezone:
    numbers: NumberPlan
    policy: DialPolicy
    new_id: Callable[[], str]
    locks_every_phone: bool = True
    reads: Part | None = Part.PLAN_OF_PERSON
    declaration: ActionDeclaration = DECLARATION
    find = staticmethod(find_target)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        near = self.numbers.time_zones(subject.phone)
        zone, source = _read(args, DEFAULT_SOURCE[subject.request.scope], near)
        known = subject.contact.time_zone
        known_source = ZoneSource(subject.contact.time_zone_source) if subject.contact.time_zone_source else None
        if known is not None and region_zone(known) is not None and not source.may_replace(known_source):
            say = "The person has named another time zone, which stands."
            raise ActionError("outranked", say, {"time_zone": known, "source": known_source})
        contact_id = subject.contact.contact_id
        planned = [
            await self._plan(tx, call_id, zone, now) for call_id in await tx.calls.unfinished_of(None, contact_id)
        ]
        moves = [move for move in planned if move is not None]
        await tx.contacts.set_time_zone(contact_id, zone, source, now)
        for move in moves:
            await _move_task(tx, move, subject, now)
        moved = [move.new for move in moves]
        return Reply(True, "time_zone_set", _say(zone, moved, now), _result(zone, moved))

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        zone, _ = _read(args, ZoneSource.PERSON, near=())
        return Reply(True, "rehearsed", _say(zone, [], now), _result(zone, []))

    async def _plan(self, tx: UnitOfWork, call_id: str, zone: str, now: datetime) -> _Move | None:
        call, task = await tx.lock_call(call_id), await tx.tasks.open_for(call_id)
        attempt = await tx.attempts.latest_for(call_id)
        if call is None or task is None or _is_resend(task, attempt):
            return None
        # A wall-clock task keeps its local time, any other its instant, both inside calling hours.
        wanted = task.planned_at
        if task.local_time is not None and task.time_zone != zone:
            wanted = resolve_local(datetime.fromisoformat(task.local_time), zone)
        due_at = earliest = max(wanted, now)
        rules = CallbackRules(self.policy.calling_hours, timedelta(seconds=self.policy.lease_s), (zone,))
        with suppress(CallbackRefused):  # closed for weeks: the eligibility check defers the call and says why
            due_at = into_hours(earliest, rules)
        is_due_either_way = earliest == now and task.planned_at <= now
        if due_at == task.planned_at or (is_due_either_way and due_at == earliest):
            return None
        new = replace(task, task_id=self.new_id(), status=TaskStatus.PENDING, dispatch=0, dispatched_at=None)
        new.due_at, new.created_at, new.source = due_at, now, "timezone"
        if task.status is TaskStatus.HELD:
            new.status, new.due_at, new.due_before_hold = TaskStatus.HELD, task.due_at, due_at
        if task.local_time is not None:
            new.local_time, new.time_zone = local_time(due_at, zone), zone
        return _Move(call, attempt, task, new)


def _read(args: Mapping[str, Any], default: ZoneSource, near: tuple[str, ...]) -> tuple[str, ZoneSource]:
    texts = read_texts(args, DECLARATION.arguments)
    source = texts.get("source", default)
    if source not in SOURCES:
        refuse_if_any({"source": f"must be one of: {', '.join(SOURCES)}"})
    answer = resolve_zone_name(texts.get("time_zone", ""), near)
    if answer.zone is None:
        candidates = list(answer.candidates)
        say = f"Is that {' or '.join(map(say_zone, candidates))}?" if candidates else ASK_ZONE
        raise ActionError("needs_clarification", say, {"candidates": candidates})
    return answer.zone, ZoneSource(source)


def _is_resend(task: Task, attempt: Attempt | None) -> bool:
    """Whether the task resends an unknown attempt. The provider's memory sets its time, not the person's zone."""
    return attempt is not None and attempt.state is AttemptState.UNKNOWN and attempt.task_id == task.task_id


async def _move_task(tx: UnitOfWork, move: _Move, subject: Subject, now: datetime) -> None:
    """Replace the old task by a new one. A message of the old task then consumes nothing."""
    call, attempt = move.call, move.attempt
    due_at, previous_due_at = move.new.planned_at, move.old.planned_at
    move.old.status = TaskStatus.SUPERSEDED
    await tx.save(move.old)
    await tx.insert(move.new)
    if attempt is not None and attempt.task_id == move.old.task_id and attempt.state is AttemptState.WAITING:
        attempt.task_id = move.new.task_id
        await tx.save(attempt)
    if not call.expiry_is_explicit:
        call.expires_at = max(call.expires_at, due_at + DEFAULT_LIFETIME)
    asked_during = subject.attempt if subject.attempt and subject.attempt.call_id == call.call_id else None
    announced = replace(move.new, due_at=due_at)
    await emit_rescheduled(tx, call, asked_during, announced, previous_due_at, now)
    await tx.save(call)


def _say(zone: str, moved: list[Task], now: datetime) -> str:
    info = find_zone(zone)
    assert info is not None, "resolved before"
    noted = f"Thank you, I have noted {say_zone(zone)}"
    if not moved:
        return f"{noted}."
    next_ = min(task.planned_at for task in moved)
    return f"{noted}, so we will call you {say_moment(next_.astimezone(info), now.astimezone(info))}."


def _result(zone: str, moved: list[Task]) -> dict[str, Any]:
    return {
        "time_zone": zone,
        "moved": [
            {
                "task_id": task.task_id,
                "due_at": iso(task.planned_at),
                "local_time": task.local_time,
                "time_zone": task.time_zone,
            }
            for task in moved
        ],
    }
