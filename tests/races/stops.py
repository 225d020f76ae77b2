"""Everything that stops a call, with the calls it is raced for and what its answer promises."""

from random import Random

from ringback.adapters.postgres.installation import PostgresDialingSwitch
from ringback.flows.operator.dialing_control import pause_dialing, resume_dialing
from ringback.messages import CallRequested
from tests.audit_log import TESTER

from .trial import Answer, Ended, Race, RaceStack

Messages = list[CallRequested]


async def _call(
    stack: RaceStack, rng: Random, *, phone: str | None = None, contact_id: str | None = None
) -> CallRequested:
    """Due now. Its message is out, or it is still to be released, or it waits for its attempt to be claimed again."""
    state = rng.choice(["out", "due", "waiting"])
    due_at = stack.clock.now() if state == "due" else None
    message = await stack.accept(phone or stack.new_phone(), contact_id=contact_id, due_at=due_at)
    if state != "waiting":
        return message
    stack.provider.unreachable_for.add(message.call_id)
    await stack.place(message)
    stack.provider.unreachable_for.discard(message.call_id)
    await stack.all("UPDATE tasks SET due_at = $2 WHERE task_id = $1 RETURNING 1", message.task_id, stack.clock.now())
    return CallRequested(message.call_id, message.task_id, 0)


async def one_call(stack: RaceStack, rng: Random) -> Messages:
    return [await _call(stack, rng)]


async def wall_clock_call(stack: RaceStack, rng: Random) -> Messages:
    """Promised for noon in New York, which is now."""
    message = await _call(stack, rng)
    promised = "kind = 'callback', local_time = '2026-12-01T12:00', time_zone = 'America/New_York'"
    await stack.all(f"UPDATE tasks SET {promised} WHERE task_id = $1 RETURNING 1", message.task_id)
    return [message]


async def two_contacts_of_one_phone(stack: RaceStack, rng: Random) -> Messages:
    phone = stack.new_phone()
    return [await _call(stack, rng, phone=phone) for _ in range(2)]


async def two_phones_of_one_contact(stack: RaceStack, rng: Random) -> Messages:
    contact_id = f"both-{stack.new_id()}"
    return [await _call(stack, rng, contact_id=contact_id) for _ in range(2)]


async def four_calls(stack: RaceStack, rng: Random) -> Messages:
    return [await _call(stack, rng) for _ in range(4)]


async def delete(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    (message,) = messages
    call = await stack.call(message.call_id)
    targets = {"call_id": message.call_id, "task_id": message.task_id, "contact_id": call["contact_id"]}
    name = rng.choice(sorted(targets))
    return Answer((await stack.ask("delete_scheduled_task", {}, **{name: targets[name]})).code)


async def cancel(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    return Answer(str(await stack.cancel(messages[0].call_id)))


async def reschedule(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    return Answer((await stack.ask("reschedule_call", {"when": "in two hours"}, call_id=messages[0].call_id)).code)


async def update_timezone(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    reply = await stack.ask("update_timezone", {"time_zone": "Pacific"}, call_id=messages[0].call_id)
    return Answer(f"{reply.code}, {len(reply.result.get('moved', []))} moved")


async def suppress_phone(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    phone = (await stack.call(messages[0].call_id))["phone"]
    return Answer("suppressed", frozenset(await stack.suppress(phone=phone)))


async def suppress_contact(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    contact_id = (await stack.call(messages[0].call_id))["contact_id"]
    return Answer("suppressed", frozenset(await stack.suppress(contact_id=contact_id)))


async def do_not_call(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    reply = await stack.ask("set_disposition", {"code": "do_not_call"}, call_id=messages[0].call_id)
    return Answer(reply.code)


async def pause(stack: RaceStack, messages: Messages, rng: Random) -> Answer:
    told = await pause_dialing(PostgresDialingSwitch(stack.pool), stack.clock, None, TESTER)
    return Answer("paused" if told["paused"] else "not paused", live=told["live"])


async def resume(stack: RaceStack) -> None:
    """Delete the calls that the pause held back, so that no later trial releases them."""
    await stack.all("UPDATE tasks SET status = 'deleted' WHERE status IN ('pending', 'dispatched') RETURNING 1")
    await resume_dialing(PostgresDialingSwitch(stack.pool), stack.clock, TESTER)


def _stopped_or_dialed(answer: Answer, calls: list[Ended], stack: RaceStack) -> list[str]:
    """Taken away and never dialed, or dialed once and said so: there is nothing between."""
    expected = {"deleted": 0, "cancelled": 0, "already_dispatched": 1}.get(answer.says)
    return [f"{len(call.dials)} dials" for call in calls if len(call.dials) != expected]


def _superseded_or_dialed(answer: Answer, calls: list[Ended], stack: RaceStack) -> list[str]:
    """The task of the old time is gone and was not dialed, or was dialed before; the new one's time has not come."""
    moved = answer.says in ("rescheduled", "time_zone_set, 0 moved", "time_zone_set, 1 moved")
    expected = {"superseded": 0, "consumed": 1}
    wrong = [call for call in calls if len(call.dials) != expected.get(call.task_status)]
    wrong += [call for call in calls if answer.says.endswith("1 moved") and call.task_status != "superseded"]
    return [f"{call.task_status} with {len(call.dials)} dials" for call in wrong] + ([] if moved else ["not moved"])


def _says_who_was_dialed(answer: Answer, calls: list[Ended], stack: RaceStack) -> list[str]:
    dialed = {attempt for call in calls for attempt in call.dials}
    return [] if answer.in_progress == dialed else [f"dialed {sorted(dialed)}, but said {answer.in_progress}"]


def _is_set(answer: Answer, calls: list[Ended], stack: RaceStack) -> list[str]:
    return [] if answer.says == "disposition_set" else ["not set"]


def _says_how_many_are_live(answer: Answer, calls: list[Ended], stack: RaceStack) -> list[str]:
    """None of the stack's calls ever ends, so every dial there was is live."""
    dials = len(stack.provider.dials)
    return [] if answer.live == dials else [f"{dials} are live, but it said {answer.live}"]


RACES = (
    Race("delete_scheduled_task", one_call, delete, _stopped_or_dialed),
    Race("cancel", one_call, cancel, _stopped_or_dialed),
    Race("reschedule_call", one_call, reschedule, _superseded_or_dialed),
    Race("update_timezone", wall_clock_call, update_timezone, _superseded_or_dialed),
    Race("suppress_phone", two_contacts_of_one_phone, suppress_phone, _says_who_was_dialed),
    Race("suppress_contact", two_phones_of_one_contact, suppress_contact, _says_who_was_dialed),
    Race("set_disposition", one_call, do_not_call, _is_set),
    Race("pause", four_calls, pause, _says_how_many_are_live, at_once=1, undo=resume),
)
