"""A message is the right to ask, never the right to dial: what consumes it, and what it may not do any more."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.call import RetryPolicy, TaskKind
from ringback.domain.schedule import CallingHours
from ringback.messages import CallRequested

from .twins import NOT_SENT


async def test_a_call_is_dialed_once_and_its_task_is_consumed(desk):
    message = await desk.accept()
    await desk.place(message)
    assert [request.to_number for request in desk.provider.dials] == ["+14155550001"]
    assert (await desk.task(message.call_id))["status"] == "consumed"
    assert (await desk.call(message.call_id))["status"] == "dialing"
    attempt = await desk.attempt(message.call_id)
    assert (attempt["number"], attempt["state"], attempt["fence"]) == (1, "placed", 1)
    assert attempt["request"]["idempotency_key"] == attempt["attempt_id"]


async def test_a_message_delivered_again_dials_nothing(desk):
    message = await desk.accept()
    for _ in range(3):
        await desk.place(message)
    assert len(desk.provider.dials) == 1


async def test_twenty_concurrent_deliveries_of_one_message_dial_once(desk):
    message = await desk.accept()
    await asyncio.gather(*(desk.place(message) for _ in range(20)))
    assert len(desk.provider.dials) == 1
    assert len(await desk.attempts(message.call_id)) == 1


@pytest.mark.parametrize("dispatch", [0, 2, 99])
async def test_a_message_of_another_dispatch_is_dropped(desk, dispatch):
    message = await desk.accept()
    await desk.place(CallRequested(message.call_id, message.task_id, dispatch))
    assert desk.provider.dials == []
    assert (await desk.task(message.call_id))["status"] == "dispatched"


async def test_a_message_of_an_unknown_call_or_of_another_calls_task_is_dropped(desk):
    one, other = await desk.accept(), await desk.accept()
    await desk.place(CallRequested("no-such-call", one.task_id, 1))
    await desk.place(CallRequested(one.call_id, other.task_id, 1))
    assert desk.provider.dials == []


async def test_a_pending_task_is_not_dialed_before_its_release(desk):
    message = await desk.accept(due_at=desk.clock.now() + timedelta(hours=1))
    for dispatch in (0, 1):
        await desk.place(CallRequested(message.call_id, message.task_id, dispatch))
    assert desk.provider.dials == []


@pytest.mark.parametrize("status", ["held", "deleted", "superseded", "expired", "consumed"])
async def test_a_task_that_is_not_dispatched_dials_nothing(desk, status):
    message = await desk.accept()
    await desk.all("UPDATE tasks SET status = $1 RETURNING 1", status)
    await desk.place(message)
    assert desk.provider.dials == []


async def test_a_cancelled_call_is_not_dialed_by_the_message_that_was_out(desk):
    message = await desk.accept()
    assert await desk.cancel(message.call_id) == "cancelled"
    await desk.place(message)
    assert desk.provider.dials == []
    assert [data["reason"] for _, data in await desk.events(message.call_id)] == ["cancelled"]


async def test_a_person_suppressed_between_acceptance_and_claim_is_not_dialed(desk):
    by_phone = await desk.accept("+14155550150", contact_id="crm-a")
    by_contact = await desk.accept("+14155550151", contact_id="crm-b")
    await desk.suppress(phone="+14155550150")
    await desk.suppress(contact_id="crm-b")
    for message in (by_phone, by_contact):
        await desk.place(message)
        assert [data["reason"] for _, data in await desk.events(message.call_id)] == ["suppressed"]
    assert desk.provider.dials == []


async def test_a_suppression_makes_a_claim_wait_whose_call_it_could_not_see(desk, monkeypatch):
    """The call was accepted while the suppression was being written, so it is not among those it ended."""
    transaction, is_written, may_commit = type(desk.store).transaction, asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def committed_late(store):
        async with transaction(store) as unit:
            yield unit
            is_written.set()
            await may_commit.wait()

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.store), "transaction", committed_late)
        suppressing = asyncio.create_task(desk.suppress(phone="+14155550123"))
        await is_written.wait()
    placing = asyncio.create_task(desk.place(await desk.accept("+14155550123")))
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not placing.done() and not await desk.all(waiting):
        await asyncio.sleep(0.005)
    may_commit.set()
    under_way, _ = await asyncio.gather(suppressing, placing)
    assert (under_way, desk.provider.dials) == ([], [])


async def test_a_suppression_the_calls_end_has_missed_is_still_seen_by_the_gate(desk):
    message = await desk.accept()
    await desk.all(
        "INSERT INTO suppressions VALUES ('s-1', NULL, 'crm-1', 'asked', 'api', $1) RETURNING 1", desk.clock.now()
    )
    await desk.place(message)
    assert desk.provider.dials == []
    (event,) = await desk.events(message.call_id)
    assert (event[0], event[1]["reason"], event[1]["attempt"], event[1]["is_final"]) == (
        "failed",
        "suppressed",
        None,
        True,
    )


async def test_a_year_old_message_ends_the_call_as_expired_and_dials_nothing(desk):
    message = await desk.accept(expires_at=desk.clock.now() + timedelta(hours=1))
    desk.clock.advance(365 * 86400)
    await desk.place(message)
    assert desk.provider.dials == []
    call = await desk.call(message.call_id)
    assert (call["status"], call["final"]) == ("expired", True)
    await desk.place(message)
    assert await desk.event_types(message.call_id) == ["failed"]


async def test_a_claim_that_had_to_wait_for_the_person_judges_by_the_time_it_is_then(desk):
    message = await desk.accept(expires_at=desk.clock.now() + timedelta(seconds=10))
    async with desk.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        placing = asyncio.create_task(desk.place(message))
        await asyncio.sleep(0.05)
        desk.clock.advance(10)
    await placing
    assert desk.provider.dials == []
    assert (await desk.call(message.call_id))["status"] == "expired"


async def test_two_calls_to_one_phone_at_once_dial_one_and_the_other_waits(desk):
    messages = [await desk.accept("+14155550123") for _ in range(6)]
    await asyncio.gather(*(desk.place(message) for message in messages))
    assert len(desk.provider.dials) == 1
    waiting = await desk.all("SELECT due_at FROM tasks WHERE status = 'pending'")
    assert [row["due_at"] for row in waiting] == [desk.clock.now() + timedelta(seconds=15)] * 5


async def test_the_person_is_free_again_when_the_attempt_is_over(desk):
    first, second = await desk.accept("+14155550123"), await desk.accept("+14155550123")
    await desk.place(first)
    await desk.place(second)
    assert len(desk.provider.dials) == 1
    attempt = await desk.attempt(first.call_id)
    await desk.hear(first.call_id, desk.provider.no_answer(attempt["attempt_id"]))
    desk.clock.advance(15)
    await desk.place_due()
    assert [request.metadata["ringback_call_id"] for request in desk.provider.dials] == [
        first.call_id,
        second.call_id,
    ]


async def test_waiting_costs_no_attempt_and_no_budget(desk):
    desk.with_policy(max_live_calls=0)
    message = await desk.accept()
    for _ in range(5):
        await desk.place(message)
        desk.clock.advance(1)
        (message,) = await desk.release()
    call = await desk.call(message.call_id)
    assert (call["attempts_made"], call["budget_used"], call["sequence"]) == (0, 0, 0)
    assert message.dispatch == 6
    assert await desk.attempts(message.call_id) == []


async def test_every_decision_is_noted_with_its_inputs(desk):
    message = await desk.accept()
    desk.with_policy(max_live_calls=0)
    await desk.place(message)
    desk.with_policy(max_live_calls=1)
    desk.clock.advance(1)
    await desk.place_due()
    waited, admitted = await desk.decisions(message.call_id, "gate")
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


async def test_closed_hours_move_the_task_to_the_opening(desk):
    desk.with_policy(calling_hours=CallingHours.parse("mon-fri 09:00-20:00"))
    message = await desk.accept(time_zone="Pacific/Honolulu")
    await desk.place(message)
    task = await desk.task(message.call_id)
    assert (task["status"], task["due_at"].isoformat()) == ("pending", "2026-12-01T19:00:00+00:00")
    assert await desk.last_rule(message.call_id) == "outside_calling_hours"


@pytest.mark.parametrize("stored", ["EST", "Etc/GMT+5", "UTC"])
async def test_nobody_is_dialed_by_the_clock_of_a_fixed_offset(desk, stored):
    """20:30 in New York, in July: five hours behind UTC all year it is 19:30, and by UTC the next day has begun."""
    desk.with_policy(calling_hours=CallingHours.parse("mon-sat 00:00-01:00,09:00-20:00"))
    desk.clock.advance((datetime(2027, 7, 15, 0, 30, tzinfo=UTC) - desk.clock.now()).total_seconds())
    message = await desk.accept("+12125550100", time_zone=stored)
    await desk.place(message)
    assert await desk.last_rule(message.call_id) == "outside_calling_hours", "called at night"
    task = await desk.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", datetime(2027, 7, 15, 4, 0, tzinfo=UTC))


async def test_caps_count_unknown_calls_but_not_waiting_ones(desk):
    desk.with_policy(attempts_per_day=1)
    waiting, next_one = await desk.accept("+14155550123"), await desk.accept("+14155550123")
    desk.provider.script.append(NOT_SENT)
    await desk.place(waiting)
    await desk.place(next_one)
    assert len(desk.provider.dials) == 2, "the first one was never sent"
    await desk.all("UPDATE attempts SET state = 'abandoned', holds_person = false WHERE state = 'placed' RETURNING 1")
    third = await desk.accept("+14155550123")
    await desk.place(third)
    assert await desk.last_rule(third.call_id) == "attempts_per_day"


async def test_the_gap_holds_between_calls_of_different_contacts_to_one_phone(desk):
    desk.with_policy(attempt_gap_s=900)
    first = await desk.accept("+14155550123", contact_id="crm-a")
    await desk.place(first)
    attempt = await desk.attempt(first.call_id)
    await desk.hear(first.call_id, desk.provider.no_answer(attempt["attempt_id"]))
    second = await desk.accept("+14155550123", contact_id="crm-b")
    await desk.place(second)
    assert await desk.last_rule(second.call_id) == "attempt_gap"
    assert (await desk.task(second.call_id))["due_at"] == desk.clock.now() + timedelta(seconds=900)


async def test_a_callback_is_dialed_in_spite_of_cap_and_gap(desk):
    desk.with_policy(attempts_per_day=1, attempt_gap_s=900)
    first = await desk.accept("+14155550123")
    await desk.place(first)
    attempt = await desk.attempt(first.call_id)
    await desk.hear(first.call_id, desk.provider.no_answer(attempt["attempt_id"]))
    await desk.place(await desk.accept("+14155550123", kind=TaskKind.CALLBACK))
    assert len(desk.provider.dials) == 2


async def test_a_retry_without_budget_ends_the_call(desk):
    message = await desk.accept(kind=TaskKind.RETRY, retry=RetryPolicy(max_attempts=2), budget_used=2, attempts_made=2)
    await desk.place(message)
    assert desk.provider.dials == []
    assert await desk.last_rule(message.call_id) == "budget_spent"
    assert (await desk.call(message.call_id))["final"]


async def test_a_call_of_a_country_that_is_not_allowed_ends(desk):
    message = await desk.accept("+442079460123")
    await desk.place(message)
    assert desk.provider.dials == []
    assert [data["reason"] for _, data in await desk.events(message.call_id)] == ["country_not_allowed"]


@pytest.mark.parametrize("phone", ["+19002345678", "+18882345678", "+15002345678", "+12129761234"])
async def test_a_kind_of_number_that_is_not_allowed_is_not_dialed(desk, phone):
    message = await desk.accept(phone)
    await desk.place(message)
    assert desk.provider.dials == []
    assert [data["reason"] for _, data in await desk.events(message.call_id)] == ["number_type_not_allowed"]
