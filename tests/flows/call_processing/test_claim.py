"""A message is the right to ask, never the right to dial: what consumes it, and what it may not do any more."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.call import RetryPolicy, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.messages import CallRequested

from .twins import NOT_SENT


async def test_a_call_is_dialed_once_and_its_task_is_consumed(stack):
    message = await stack.accept()
    await stack.place(message)
    assert [request.to_number for request in stack.provider.dials] == ["+14155550001"]
    assert (await stack.task(message.call_id))["status"] == "consumed"
    assert (await stack.call(message.call_id))["status"] == "dialing"
    attempt = await stack.attempt(message.call_id)
    assert (attempt["number"], attempt["state"], attempt["fence"]) == (1, "placed", 1)
    assert attempt["request"]["idempotency_key"] == attempt["attempt_id"]


async def test_a_message_delivered_again_dials_nothing(stack):
    message = await stack.accept()
    for _ in range(3):
        await stack.place(message)
    assert len(stack.provider.dials) == 1


async def test_twenty_concurrent_deliveries_of_one_message_dial_once(stack):
    message = await stack.accept()
    await asyncio.gather(*(stack.place(message) for _ in range(20)))
    assert len(stack.provider.dials) == 1
    assert len(await stack.attempts(message.call_id)) == 1


@pytest.mark.parametrize("dispatch", [0, 2, 99])
async def test_a_message_of_another_dispatch_is_dropped(stack, dispatch):
    message = await stack.accept()
    await stack.place(CallRequested(message.call_id, message.task_id, dispatch))
    assert stack.provider.dials == []
    assert (await stack.task(message.call_id))["status"] == "dispatched"


async def test_a_message_of_an_unknown_call_or_of_another_calls_task_is_dropped(stack):
    one, other = await stack.accept(), await stack.accept()
    await stack.place(CallRequested("no-such-call", one.task_id, 1))
    await stack.place(CallRequested(one.call_id, other.task_id, 1))
    assert stack.provider.dials == []


async def test_a_pending_task_is_not_dialed_before_its_release(stack):
    message = await stack.accept(due_at=stack.clock.now() + timedelta(hours=1))
    for dispatch in (0, 1):
        await stack.place(CallRequested(message.call_id, message.task_id, dispatch))
    assert stack.provider.dials == []


@pytest.mark.parametrize("status", ["held", "deleted", "superseded", "expired", "consumed"])
async def test_a_task_that_is_not_dispatched_dials_nothing(stack, status):
    message = await stack.accept()
    await stack.all("UPDATE tasks SET status = $1 RETURNING 1", status)
    await stack.place(message)
    assert stack.provider.dials == []


async def test_a_cancelled_call_is_not_dialed_by_the_message_that_was_out(stack):
    message = await stack.accept()
    assert await stack.cancel(message.call_id) == "cancelled"
    await stack.place(message)
    assert stack.provider.dials == []
    assert [data["reason"] for _, data in await stack.events(message.call_id)] == ["cancelled"]


async def test_a_person_suppressed_between_acceptance_and_claim_is_not_dialed(stack):
    by_phone = await stack.accept("+14155550150", contact_id="crm-a")
    by_contact = await stack.accept("+14155550151", contact_id="crm-b")
    await stack.suppress(phone="+14155550150")
    await stack.suppress(contact_id="crm-b")
    for message in (by_phone, by_contact):
        await stack.place(message)
        assert [data["reason"] for _, data in await stack.events(message.call_id)] == ["suppressed"]
    assert stack.provider.dials == []


async def test_a_suppression_makes_a_claim_wait_whose_call_it_could_not_see(stack, monkeypatch):
    """The call was accepted while the suppression was being written, so it is not among those it ended."""
    transaction, is_written, may_commit = type(stack.store).transaction, asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def committed_late(store):
        async with transaction(store) as unit:
            yield unit
            is_written.set()
            await may_commit.wait()

    with monkeypatch.context() as patched:
        patched.setattr(type(stack.store), "transaction", committed_late)
        suppressing = asyncio.create_task(stack.suppress(phone="+14155550123"))
        await is_written.wait()
    placing = asyncio.create_task(stack.place(await stack.accept("+14155550123")))
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not placing.done() and not await stack.all(waiting):
        await asyncio.sleep(0.005)
    may_commit.set()
    possibly_ringing, _ = await asyncio.gather(suppressing, placing)
    assert (possibly_ringing, stack.provider.dials) == ([], [])


async def test_a_suppression_that_the_calls_end_has_missed_is_still_seen_by_the_claim(stack):
    message = await stack.accept()
    await stack.all(
        "INSERT INTO suppressions VALUES ('s-1', NULL, 'crm-1', 'asked', 'api', $1) RETURNING 1", stack.clock.now()
    )
    await stack.place(message)
    assert stack.provider.dials == []
    (event,) = await stack.events(message.call_id)
    assert (event[0], event[1]["reason"], event[1]["attempt"], event[1]["is_final"]) == (
        "failed",
        "suppressed",
        None,
        True,
    )


async def test_a_year_old_message_ends_the_call_as_expired_and_dials_nothing(stack):
    message = await stack.accept(expires_at=stack.clock.now() + timedelta(hours=1))
    stack.clock.advance(365 * 86400)
    await stack.place(message)
    assert stack.provider.dials == []
    call = await stack.call(message.call_id)
    assert (call["status"], call["final"]) == ("expired", True)
    await stack.place(message)
    assert await stack.event_types(message.call_id) == ["failed"]


async def test_a_claim_that_had_to_wait_for_the_person_judges_by_the_time_it_is_then(stack):
    message = await stack.accept(expires_at=stack.clock.now() + timedelta(seconds=10))
    async with stack.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        placing = asyncio.create_task(stack.place(message))
        await asyncio.sleep(0.05)
        stack.clock.advance(10)
    await placing
    assert stack.provider.dials == []
    assert (await stack.call(message.call_id))["status"] == "expired"


async def test_two_calls_to_one_phone_at_once_dial_one_and_the_other_waits(stack):
    messages = [await stack.accept("+14155550123") for _ in range(6)]
    await asyncio.gather(*(stack.place(message) for message in messages))
    assert len(stack.provider.dials) == 1
    waiting = await stack.all("SELECT due_at FROM tasks WHERE status = 'pending'")
    assert [row["due_at"] for row in waiting] == [stack.clock.now() + timedelta(seconds=15)] * 5


async def test_the_person_is_free_again_when_the_attempt_is_over(stack):
    first, second = await stack.accept("+14155550123"), await stack.accept("+14155550123")
    await stack.place(first)
    await stack.place(second)
    assert len(stack.provider.dials) == 1
    attempt = await stack.attempt(first.call_id)
    await stack.hear(first.call_id, stack.provider.no_answer(attempt["attempt_id"]))
    stack.clock.advance(15)
    await stack.place_due()
    assert [request.metadata["ringback_call_id"] for request in stack.provider.dials] == [
        first.call_id,
        second.call_id,
    ]


async def test_waiting_costs_no_attempt_and_no_budget(stack):
    stack.with_policy(max_live_calls=0)
    message = await stack.accept()
    for _ in range(5):
        await stack.place(message)
        stack.clock.advance(1)
        (message,) = await stack.release()
    call = await stack.call(message.call_id)
    assert (call["attempts_made"], call["budget_used"], call["sequence"]) == (0, 0, 0)
    assert message.dispatch == 6
    assert await stack.attempts(message.call_id) == []


async def test_every_decision_is_noted_with_its_inputs(stack):
    message = await stack.accept()
    stack.with_policy(max_live_calls=0)
    await stack.place(message)
    stack.with_policy(max_live_calls=1)
    stack.clock.advance(1)
    await stack.place_due()
    waited, admitted = await stack.decisions(message.call_id, "gate")
    assert (waited["verdict"], waited["rule"], waited["until"]) == ("wait", "no_free_slot", "2026-12-01T17:00:01.000Z")
    assert (admitted["verdict"], admitted["rule"], admitted["until"]) == ("admit", "admitted", None)
    assert {name: admitted[name] for name in ("task", "live", "paused", "suppressed", "attempts_last_day")} == {
        "task": "first",
        "live": 0,
        "paused": False,
        "suppressed": False,
        "attempts_last_day": 0,
    }
    assert "+1415" not in str([waited, admitted])


async def test_closed_hours_move_the_task_to_the_opening(stack):
    stack.with_policy(calling_hours=CallingHours.parse("mon-fri 09:00-20:00"))
    message = await stack.accept(time_zone="Pacific/Honolulu")
    await stack.place(message)
    task = await stack.task(message.call_id)
    assert (task["status"], task["due_at"].isoformat()) == ("pending", "2026-12-01T19:00:00+00:00")
    assert await stack.last_rule(message.call_id) == "outside_calling_hours"


@pytest.mark.parametrize("stored", ["EST", "Etc/GMT+5", "UTC"])
async def test_no_person_is_dialed_by_the_clock_of_a_fixed_offset(stack, stored):
    """20:30 in New York, in July: five hours behind UTC all year it is 19:30, and by UTC the next day has begun."""
    stack.with_policy(calling_hours=CallingHours.parse("mon-sat 00:00-01:00,09:00-20:00"))
    stack.clock.advance((datetime(2027, 7, 15, 0, 30, tzinfo=UTC) - stack.clock.now()).total_seconds())
    message = await stack.accept("+12125550100", time_zone=stored)
    await stack.place(message)
    assert await stack.last_rule(message.call_id) == "outside_calling_hours", "called at night"
    task = await stack.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", datetime(2027, 7, 15, 4, 0, tzinfo=UTC))


async def test_caps_count_unknown_calls_but_not_waiting_ones(stack):
    stack.with_policy(attempts_per_day=1)
    waiting, next_one = await stack.accept("+14155550123"), await stack.accept("+14155550123")
    stack.provider.script.append(NOT_SENT)
    await stack.place(waiting)
    await stack.place(next_one)
    assert len(stack.provider.dials) == 2, "the first one was never sent"
    await stack.all("UPDATE attempts SET state = 'abandoned', holds_person = false WHERE state = 'placed' RETURNING 1")
    third = await stack.accept("+14155550123")
    await stack.place(third)
    assert await stack.last_rule(third.call_id) == "attempts_per_day"


async def test_the_gap_holds_between_calls_of_different_contacts_to_one_phone(stack):
    stack.with_policy(attempt_gap_s=900)
    first = await stack.accept("+14155550123", contact_id="crm-a")
    await stack.place(first)
    attempt = await stack.attempt(first.call_id)
    await stack.hear(first.call_id, stack.provider.no_answer(attempt["attempt_id"]))
    second = await stack.accept("+14155550123", contact_id="crm-b")
    await stack.place(second)
    assert await stack.last_rule(second.call_id) == "attempt_gap"
    assert (await stack.task(second.call_id))["due_at"] == stack.clock.now() + timedelta(seconds=900)


async def test_a_callback_is_dialed_in_spite_of_cap_and_gap(stack):
    stack.with_policy(attempts_per_day=1, attempt_gap_s=900)
    first = await stack.accept("+14155550123")
    await stack.place(first)
    attempt = await stack.attempt(first.call_id)
    await stack.hear(first.call_id, stack.provider.no_answer(attempt["attempt_id"]))
    await stack.place(await stack.accept("+14155550123", kind=TaskKind.CALLBACK))
    assert len(stack.provider.dials) == 2


async def test_a_retry_without_budget_ends_the_call(stack):
    message = await stack.accept(kind=TaskKind.RETRY, retry=RetryPolicy(max_attempts=2), budget_used=2, attempts_made=2)
    await stack.place(message)
    assert stack.provider.dials == []
    assert await stack.last_rule(message.call_id) == "budget_spent"
    assert (await stack.call(message.call_id))["final"]


async def test_a_call_of_a_country_that_is_not_allowed_ends(stack):
    message = await stack.accept("+442079460123")
    await stack.place(message)
    assert stack.provider.dials == []
    assert [data["reason"] for _, data in await stack.events(message.call_id)] == ["country_not_allowed"]


@pytest.mark.parametrize("phone", ["+19002345678", "+18882345678", "+15002345678", "+12129761234"])
async def test_a_kind_of_number_that_is_not_allowed_is_not_dialed(stack, phone):
    message = await stack.accept(phone)
    await stack.place(message)
    assert stack.provider.dials == []
    assert [data["reason"] for _, data in await stack.events(message.call_id)] == ["number_type_not_allowed"]
