"""reschedule_call: make the callback that a person asked for the call's one open task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.attempt import Attempt
from ringback.domain.call import DEFAULT_LIFETIME, MAX_RESCHEDULES, Call, Task, TaskKind, TaskStatus, update_status
from ringback.domain.callback import (
    Callback,
    CallbackProblem,
    CallbackRefused,
    CallbackRules,
    callback_at_instant,
    callback_at_local,
)
from ringback.domain.calling_hours import CallingHours, local_time, resolve_local
from ringback.domain.eligibility import DialPolicy
from ringback.domain.instant import say_moment, say_zone
from ringback.domain.phone_number import NumberPlan
from ringback.domain.time_zone import ZoneSource, find_zone, region_zone
from ringback.domain.zone_names import candidate_zones
from ringback.failpoints import Failpoint, reach
from ringback.flows.abt_events import emit_rescheduled
from ringback.flows.business_operations.action import (
    ActionDeclaration,
    ActionError,
    Reply,
    Scope,
    Subject,
)
from ringback.flows.business_operations.arguments import arguments, read_texts, text
from ringback.flows.business_operations.target import WHICH_CALL_SAY, find_target
from ringback.ports import SpokenMoment, SpokenTime
from ringback.storage import Part, UnitOfWork

ZONE_SOURCE = {Scope.RETELL: ZoneSource.PERSON, Scope.SYSTEMS: ZoneSource.CRM}
NO_OTHER_CALL = "Sorry, I cannot arrange another call."
ASK_WHEN = "On which day and at what time should we call you?"

#: Code and sentence of each refusal. The same code means that the agent asks for more and tries again.
REFUSALS = {
    CallbackProblem.ZONE_UNKNOWN: ("needs_clarification", "Which time zone are you in?"),
    CallbackProblem.PAST: ("needs_clarification", "That time has already passed; when should we call you?"),
    CallbackProblem.TOO_SOON: ("too_soon", "The earliest we can call back is in five minutes; when would suit you?"),
    CallbackProblem.TOO_FAR: ("too_far", "We can call back within the next two weeks; when would suit you?"),
    CallbackProblem.TOO_LATE: ("too_late", "That is too late for this call; does an earlier time suit you?"),
    CallbackProblem.NEVER_OPEN: ("outside_hours", "We make no calls then; which other day would suit you?"),
}

DECLARATION = ActionDeclaration(
    name="reschedule_call",
    description=(
        "Arrange that the person is called back at the time they ask for. Pass on their own words, both day and clock "
        "time; they are understood in the person's time zone, or in the one they name."
    ),
    arguments=arguments(
        {
            "when": text(200, 'Day and time as the person said it, such as "tomorrow at 3pm" or "in two hours".'),
            "reason": text(500, "Why the person wants to be called later, in a few words."),
        },
        "when",
    ),
    codes={
        "rescheduled": "The callback is the call's one open task.",
        "needs_clarification": "Day or clock time is missing, has passed, or the zone is unclear; `say` asks for it.",
        "too_soon": "Less than five minutes ahead.",
        "too_far": "More than fourteen days ahead.",
        "too_late": "Beyond the call's own `expires_at`.",
        "outside_hours": "There is no calling hour within fifteen days of it.",
        "limit": "The call was moved three times already.",
        "suppressed": "The person must not be called any more.",
        "cancelled": "The call was cancelled.",
        "call_finished": "The call has ended; a new one can be requested.",
        "which_call": "The contact has several calls; `result.call_ids` lists them.",
    },
    result={
        "task_id": "The new task.",
        "due_at": "When it is due, in UTC; moved into calling hours if need be.",
        "local_time": "The same as a wall-clock time, where a zone is known or was named.",
        "time_zone": "The zone of `local_time`: the one the person named, else their own.",
    },
)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A call with its open task and its latest attempt."""

    call: Call
    task: Task | None
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class RescheduleCall:
    spoken_time: SpokenTime
    numbers: NumberPlan
    policy: DialPolicy
    new_id: Callable[[], str]
    locks_every_phone: bool = False
    reads: Part | None = Part.PLAN
    declaration: ActionDeclaration = DECLARATION
    find = staticmethod(find_target)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        texts = read_texts(args, DECLARATION.arguments)
        call = _movable_call(subject)
        if await tx.suppressions.covers(call.phone, call.contact_id):
            raise ActionError("suppressed", NO_OTHER_CALL)
        zones = candidate_zones(subject.contact.time_zone, self.numbers.time_zones(call.phone))
        moment = self._read(texts.get("when"), zones, self.numbers.region(call.phone), now)
        # If no other zone is known, the named zone is the person's own.
        own_zone = region_zone(moment.zone) if moment.zone is not None and not zones else None
        rules = CallbackRules(
            hours=self.policy.calling_hours,
            open_at_least=timedelta(seconds=self.policy.lease_s),
            zones=zones if own_zone is None else (own_zone,),
            expires_at=call.expires_at if call.expiry_is_explicit else None,
        )
        callback = _promised(moment, rules, now)
        previous, latest = await tx.tasks.open_for(call.call_id), await tx.attempts.latest_for(call.call_id)
        if own_zone is not None:
            source = ZONE_SOURCE[subject.request.scope]
            await tx.contacts.set_time_zone(subject.contact.contact_id, own_zone, source, now)
        # After its verdict an attempt is not changed by a late repeat of its function call.
        is_undecided = subject.attempt is not None and subject.attempt.verdict_type is None
        asked_during = subject.attempt if is_undecided else None
        task = Task(
            self.new_id(),
            call.call_id,
            TaskKind.CALLBACK,
            callback.due_at,
            local_time=callback.local_time,
            time_zone=callback.time_zone,
            from_attempt=asked_during.attempt_id if asked_during else None,
            created_at=now,
            source=subject.source,
            reason=texts.get("reason"),
        )
        await _replace_open_task(tx, _Planned(call, previous, latest), task, asked_during, now)
        # The reply uses the zone that the person named, else their own, if known.
        said_in = moment.zone or (rules.zones[0] if len(rules.zones) == 1 else None)
        return Reply(
            True, "rescheduled", _say(callback, said_in, rules.zones, now), _result(task.task_id, callback, said_in)
        )

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        """Read the words in UTC with all hours open, because there is no person."""
        texts = read_texts(args, DECLARATION.arguments)
        moment = self._read(texts.get("when"), (), None, now)
        rules = CallbackRules(CallingHours(), timedelta(0), zones=("UTC",))
        callback, said_in = _promised(moment, rules, now), moment.zone or "UTC"
        return Reply(True, "rehearsed", _say(callback, said_in, (said_in,), now), _result(None, callback, said_in))

    def _read(self, when: str | None, zones: tuple[str, ...], country: str | None, now: datetime) -> SpokenMoment:
        if when is None:
            raise ActionError("needs_clarification", ASK_WHEN)
        moment = self.spoken_time.read(when, now, zones, country)
        if moment.instant is None and moment.local is None:
            raise ActionError("needs_clarification", moment.ask or ASK_WHEN)
        return moment


def _movable_call(subject: Subject) -> Call:
    if subject.call is None and subject.unfinished:
        raise ActionError("which_call", WHICH_CALL_SAY, {"call_ids": list(subject.unfinished)})
    if subject.call is None:
        raise ActionError("not_found", "This contact has no call that could be moved.")
    if subject.call.final:
        # Engage has its one final event. A later wish needs a new call.
        raise ActionError("call_finished", "This call is already finished, so it cannot be moved.")
    if subject.call.no_more_retries == FailReason.CANCELLED:
        # Cancelled while it rang. The reply promised that no call follows.
        raise ActionError("cancelled", NO_OTHER_CALL)
    if subject.call.reschedules >= MAX_RESCHEDULES:
        raise ActionError("limit", "This call was moved three times already, so I cannot move it again.")
    return subject.call


async def _replace_open_task(
    tx: UnitOfWork, planned: _Planned, task: Task, asked_during: Attempt | None, now: datetime
) -> None:
    """Replace the open task, even a dispatched one before its claim. Its message then consumes nothing."""
    call, previous = planned.call, planned.task
    if previous is not None:
        previous.status = TaskStatus.SUPERSEDED
        await tx.save(previous)
    await tx.insert(task)
    call.reschedules += 1
    if not call.expiry_is_explicit:
        call.expires_at = max(call.expires_at, task.due_at + DEFAULT_LIFETIME)
    await emit_rescheduled(tx, call, asked_during, task, previous.planned_at if previous else None, now)
    update_status(call, task, planned.attempt)
    await tx.save(call)
    if asked_during is not None:
        asked_during.business["callback_asked"] = True
        await tx.save(asked_during)
    reach(Failpoint.RESCHEDULED)


def _promised(moment: SpokenMoment, rules: CallbackRules, now: datetime) -> Callback:
    """Promise the callback. A time in a named zone is an instant, and does not move with the person's zone."""
    instant = moment.instant
    try:
        if moment.local is not None and moment.zone is not None:
            instant = resolve_local(moment.local.replace(second=0, microsecond=0), moment.zone)
        if instant is not None:
            return callback_at_instant(instant, rules, now)
        assert moment.local is not None, "a moment without an instant has a local time"
        return callback_at_local(moment.local, rules, now)
    except CallbackRefused as refused:
        code, say = REFUSALS[refused.problem]
        raise ActionError(code, say, {"problem": refused.problem}) from None


def _say(callback: Callback, said_in: str | None, zones: tuple[str, ...], now: datetime) -> str:
    moment = "as soon as we may after it" if callback.moved else "at the time you asked for"
    zone = find_zone(said_in) if said_in is not None else None
    if zone is not None and said_in is not None:
        moment = say_moment(callback.due_at.astimezone(zone), now.astimezone(zone))
        moment += "" if zones == (said_in,) else f" {say_zone(said_in)}"
    if callback.moved:
        return f"We do not call at that hour, so we will call you {moment}."
    return f"Done, we will call you {moment}."


def _result(task_id: str | None, callback: Callback, said_in: str | None) -> dict[str, Any]:
    """The result. An instant has a wall-clock time here too, although the task does not keep it."""
    wall_clock = callback.local_time, callback.time_zone
    if callback.local_time is None and said_in is not None:
        wall_clock = local_time(callback.due_at, said_in), said_in
    return {
        "task_id": task_id,
        "due_at": iso(callback.due_at),
        "local_time": wall_clock[0],
        "time_zone": wall_clock[1],
    }
