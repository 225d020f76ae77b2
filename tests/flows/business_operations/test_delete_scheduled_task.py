"""A task, a call or a contact in; deleted, already dispatched or not found, and the closing event, out."""

import asyncio
from datetime import UTC, datetime

import pytest

TOMORROW = {"when": "tomorrow at 3pm"}
LATER = datetime(2026, 12, 2, 20, tzinfo=UTC)


async def task_of(stack, call_id) -> dict:
    return (await stack.tasks(call_id))[-1]


@pytest.mark.parametrize("by", ["task_id", "call_id", "contact_id"])
async def test_a_pending_task_is_deleted_and_its_call_closed(stack, by):
    call_id = await stack.accept(not_before=LATER)
    task_id = (await task_of(stack, call_id))["task_id"]
    target = {"task_id": task_id, "call_id": call_id, "contact_id": "crm-42"}[by]
    reply = await stack.ask("delete_scheduled_task", {"reason": "sold already"}, **{by: target})
    assert (reply.ok, reply.code) == (True, "deleted")
    assert reply.result == {"task_id": task_id, "task_ids": [task_id]}
    assert (await task_of(stack, call_id))["status"] == "deleted"
    call = await stack.call(call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    (closing,) = await stack.events(call_id)
    assert (closing["type"], closing["data"]["reason"]) == ("voice_ai_call_failed", "cancelled")
    assert (closing["data"]["attempt"], closing["data"]["is_final"]) == (None, True)
    decision = await stack.one("SELECT * FROM gate_decisions WHERE kind = 'task_deleted'")
    assert decision["detail"] == {"task_id": task_id, "source": "api", "reason": "sold already"}


async def test_a_dispatched_task_can_still_be_deleted_and_will_not_dial(stack):
    call_id = await stack.accept()
    task = await task_of(stack, call_id)
    assert task["status"] == "dispatched"
    assert (await stack.ask("delete_scheduled_task", {}, task_id=task["task_id"])).code == "deleted"
    await stack.deliver(call_id, task["task_id"], task["dispatch"])
    assert await stack.all("SELECT * FROM attempts") == []


async def test_second_delete_does_nothing(stack):
    call_id = await stack.accept(not_before=LATER)
    task_id = (await task_of(stack, call_id))["task_id"]
    await stack.ask("delete_scheduled_task", {}, task_id=task_id)
    before = await stack.rows_written()
    again = await stack.ask("delete_scheduled_task", {}, task_id=task_id)
    assert (again.ok, again.code) == (True, "deleted"), "it will not dial"
    assert (await stack.ask("delete_scheduled_task", {}, call_id=call_id)).code == "not_found"
    assert await stack.rows_written() == before | {"action_results": before["action_results"] + 1}


async def test_what_is_being_dialed_was_dispatched_already(stack):
    talk = await stack.talk()
    task_id = (await task_of(stack, talk.call_id))["task_id"]
    for target in ({"task_id": task_id}, {"call_id": talk.call_id}, {"contact_id": "crm-42"}):
        reply = await stack.ask("delete_scheduled_task", {}, **target)
        assert (reply.ok, reply.code) == (False, "already_dispatched"), target
    assert not (await stack.call(talk.call_id))["final"]


async def test_a_resend_of_what_may_be_ringing_was_dispatched_already(stack):
    talk = await stack.talk()
    await stack.execute("UPDATE attempts SET state = 'unknown', provider_call_id = NULL")
    await stack.execute("UPDATE tasks SET status = 'pending'")
    assert (await stack.ask("delete_scheduled_task", {}, call_id=talk.call_id)).code == "already_dispatched"


async def test_nothing_planned_is_not_found(stack):
    call_id = await stack.accept(not_before=LATER)
    task_id = (await task_of(stack, call_id))["task_id"]
    await stack.ask("reschedule_call", TOMORROW, call_id=call_id)
    assert (await stack.ask("delete_scheduled_task", {}, task_id=task_id)).code == "not_found", "superseded"
    for target in ({"task_id": "none"}, {"call_id": "none"}, {"contact_id": "none"}):
        assert (await stack.ask("delete_scheduled_task", {}, **target)).code == "not_found"


async def test_by_contact_every_planned_call_is_deleted_the_next_one_named_first(stack):
    late = await stack.accept(not_before=LATER)
    soon = await stack.accept(phone="+14155550101")
    other = await stack.accept(contact_id="crm-43", phone="+14155550102")
    reply = await stack.ask("delete_scheduled_task", {}, contact_id="crm-42")
    expected = [(await task_of(stack, call_id))["task_id"] for call_id in (soon, late)]
    assert reply.result == {"task_id": expected[0], "task_ids": expected}
    assert (await task_of(stack, other))["status"] == "dispatched"


async def test_in_the_conversation_a_promised_callback_is_taken_back_and_may_be_promised_anew(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", TOMORROW)
    task_id = (await task_of(stack, talk.call_id))["task_id"]
    reply = await stack.tool(talk, "delete_scheduled_task", {"reason": "changed their mind"})
    assert (reply.code, reply.say, reply.result["task_id"]) == (
        "deleted",
        "Done, we will not call you for that any more.",
        task_id,
    )
    call = await stack.call(talk.call_id)
    assert (call["final"], call["status"], call["no_more_retries"]) == (False, "in_progress", None)
    assert (await stack.tool(talk, "delete_scheduled_task", {})).code == "not_found"
    assert (await stack.tool(talk, "reschedule_call", TOMORROW)).ok


async def test_a_callback_deleted_from_outside_while_the_conversation_lasts_lets_nothing_follow(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", TOMORROW)
    assert (await stack.ask("delete_scheduled_task", {}, call_id=talk.call_id)).code == "deleted"
    call = await stack.call(talk.call_id)
    assert (call["final"], call["no_more_retries"]) == (False, "cancelled"), "the attempt's verdict ends it"


async def test_a_delete_and_a_claim_never_both_win(stack):
    await stack.warm_up()
    for number in range(6):
        call_id = await stack.accept(contact_id=f"crm-{number}", phone=f"+1415555010{number}")
        task = await task_of(stack, call_id)
        reply, _ = await asyncio.gather(
            stack.ask("delete_scheduled_task", {}, task_id=task["task_id"]),
            stack.deliver(call_id, task["task_id"], task["dispatch"]),
        )
        attempts = await stack.all("SELECT * FROM attempts WHERE call_id = $1", call_id)
        assert (reply.code, len(attempts)) in {("deleted", 0), ("already_dispatched", 1)}


async def test_a_reason_that_is_no_text_is_refused_to_systems_and_stops_no_agent(stack):
    for args in ({"reason": 7}, {"task_id": "x"}, {"reason": "x" * 501}):
        call_id = await stack.accept()
        assert (await stack.ask("delete_scheduled_task", args, call_id=call_id)).code == "invalid_args"
        assert stack.operations.rehearse("delete_scheduled_task", args).code == "rehearsed"
