"""The clock: what is due is released once, what was lost goes out anew, what has expired ends once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ringback.messages import CallRequested


async def test_a_task_is_released_when_it_is_due_and_not_before(stack):
    message = await stack.accept(due_at=stack.clock.now() + timedelta(seconds=10))
    stack.clock.advance(9.999)
    assert await stack.release() == []
    stack.clock.advance(0.001)
    assert await stack.release() == [CallRequested(message.call_id, message.task_id, 1)]
    task = await stack.task(message.call_id)
    assert (task["status"], task["dispatch"], task["dispatched_at"]) == ("dispatched", 1, stack.clock.now())
    assert await stack.release() == []


async def test_many_schedulers_at_once_release_each_task_once(stack):
    accepted = [await stack.accept(due_at=stack.clock.now()) for _ in range(60)]
    counts = await asyncio.gather(*(stack.scheduled.release_due_calls() for _ in range(6)))
    assert sum(counts) == 60
    published = await stack.published()
    assert {message.task_id for message in published} == {message.task_id for message in accepted}
    assert [message.dispatch for message in published] == [1] * 60


async def test_a_backlog_waits_in_the_database_in_the_order_of_its_due_times(stack):
    due_at = stack.clock.now()
    accepted = [await stack.accept(due_at=due_at + timedelta(seconds=number)) for number in range(30)]
    stack.clock.advance(60)
    paced = replace(stack.scheduled, most_dispatched=10)
    assert [await paced.release_due_calls(), await paced.release_due_calls()] == [10, 0]
    first = await stack.published()
    assert {message.task_id for message in first} == {message.task_id for message in accepted[:10]}
    await stack.place(first[0])
    assert await paced.release_due_calls() == 1


@pytest.mark.parametrize("status", ["deleted", "superseded", "consumed", "expired"])
async def test_a_task_that_is_over_is_not_released(stack, status):
    await stack.accept(due_at=stack.clock.now())
    await stack.all("UPDATE tasks SET status = $1 RETURNING 1", status)
    assert await stack.release() == []


async def test_a_task_that_a_transaction_has_in_hand_is_left_for_the_next_pass(stack):
    message = await stack.accept(due_at=stack.clock.now())
    async with stack.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        await tx.tasks.open_for(message.call_id)
        releasing = asyncio.create_task(stack.scheduled.release_due_calls())
        passed, _ = await asyncio.wait({releasing}, timeout=8)
        is_through = bool(passed) and releasing.exception() is None
        assert is_through, "the pass waits for one transaction, and with it everybody who is due"
        assert releasing.result() == 0
    assert await stack.scheduled.release_due_calls() == 1


async def test_a_cancellation_and_a_release_at_once_leave_nothing_to_dial(stack):
    messages = [await stack.accept(due_at=stack.clock.now()) for _ in range(10)]
    await asyncio.gather(stack.release(), *(stack.cancel(message.call_id) for message in messages), stack.release())
    for message in await stack.release() + [CallRequested(m.call_id, m.task_id, 1) for m in messages]:
        await stack.place(message)
    assert stack.provider.dials == []


async def lose_the_message_of(stack, message):
    """It was published, and the queue has it no more."""
    await stack.all(
        "INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at, delivered_at)"
        " VALUES ('call_message', $1, $2, '{}', $3, $3, $3) RETURNING 1",
        f"{message.task_id}:{message.dispatch}",
        message.call_id,
        stack.clock.now(),
    )


async def test_a_lost_message_goes_out_under_a_new_dispatch_and_the_old_one_consumes_nothing(stack):
    lost = await stack.accept()
    await lose_the_message_of(stack, lost)
    stack.clock.advance(60)
    assert await stack.scheduled.publish_lost_calls() == 0
    stack.clock.advance(1)
    assert await stack.scheduled.publish_lost_calls() == 1
    (again,) = await stack.published()
    assert again == CallRequested(lost.call_id, lost.task_id, 2)
    await stack.place(lost)
    assert stack.provider.dials == []
    await stack.place(again)
    await stack.place(lost)
    assert len(stack.provider.dials) == 1


async def test_a_message_lost_again_and_again_is_left_to_the_operator(stack):
    lost = await stack.accept()
    await lose_the_message_of(stack, lost)
    for _ in range(5):
        stack.clock.advance(61)
        assert await stack.scheduled.publish_lost_calls() == 1
        (again,) = await stack.published()
        await stack.all("UPDATE outbox SET delivered_at = created_at RETURNING 1")
    stack.clock.advance(3601)
    assert await stack.scheduled.publish_lost_calls() == 0
    assert (await stack.task(lost.call_id))["redispatches"] == 5
    await stack.place(again)
    assert len(stack.provider.dials) == 1


async def test_nothing_is_called_lost_while_the_queue_still_has_messages_unless_for_an_hour(stack):
    lost = await stack.accept()
    await lose_the_message_of(stack, lost)
    stack.queue.waiting = 1
    stack.clock.advance(3600)
    assert await stack.scheduled.publish_lost_calls() == 0
    stack.clock.advance(1)
    assert await stack.scheduled.publish_lost_calls() == 1


async def test_a_message_still_in_the_outbox_is_late_and_not_lost(stack):
    await stack.accept(due_at=stack.clock.now())
    assert await stack.scheduled.release_due_calls() == 1
    stack.clock.advance(86400)
    assert await stack.scheduled.publish_lost_calls() == 0


async def test_a_dispatch_that_was_claimed_is_not_lost(stack):
    message = await stack.accept()
    await stack.place(message)
    stack.clock.advance(86400)
    assert await stack.scheduled.publish_lost_calls() == 0


async def test_schedulers_at_once_publish_a_lost_call_once(stack):
    await lose_the_message_of(stack, await stack.accept())
    stack.clock.advance(61)
    assert sum(await asyncio.gather(*(stack.scheduled.publish_lost_calls() for _ in range(4)))) == 1


async def test_an_expired_call_ends_once_however_many_look(stack):
    message = await stack.accept(due_at=stack.clock.now() + timedelta(days=30))
    stack.clock.advance(7 * 86400 - 1)
    assert await stack.scheduled.end_expired_calls() == 0
    stack.clock.advance(1)
    await asyncio.gather(*(stack.scheduled.end_expired_calls() for _ in range(4)))
    call, task = await stack.call(message.call_id), await stack.task(message.call_id)
    assert (call["status"], call["final"], task["status"]) == ("expired", True, "expired")
    ((type_, data),) = await stack.events(message.call_id)
    assert (type_, data["reason"], data["attempt"], data["is_final"]) == ("failed", "expired", None, True)
    assert len(await stack.decisions(message.call_id, "expired")) == 1


async def test_a_call_whose_message_was_dead_lettered_still_ends(stack):
    message = await stack.accept()
    stack.clock.advance(7 * 86400)
    assert await stack.scheduled.end_expired_calls() == 1
    assert (await stack.call(message.call_id))["status"] == "expired", "without anybody having had its message"
    await stack.place(message)
    assert stack.provider.dials == []


async def test_an_attempt_in_progress_outlives_the_calls_expiry_and_decides_it(stack):
    message = await stack.accept(expires_at=stack.clock.now() + timedelta(seconds=5))
    await stack.place(message)
    stack.clock.advance(10)
    assert await stack.scheduled.end_expired_calls() == 0
    attempt = await stack.attempt(message.call_id)
    await stack.hear(message.call_id, stack.provider.no_answer(attempt["attempt_id"]))
    assert [data.get("reason") for _, data in await stack.events(message.call_id)] == [None, "no_answer"]


async def test_one_call_that_cannot_be_ended_does_not_hold_up_the_others(stack):
    broken, whole = await stack.accept(), await stack.accept()
    await stack.all("UPDATE calls SET closing_event_id = 'x' WHERE call_id = $1 RETURNING 1", broken.call_id)
    stack.clock.advance(7 * 86400)
    with pytest.raises(AssertionError):
        await stack.scheduled.end_expired_calls()
    assert (await stack.call(whole.call_id))["status"] == "expired"
