"""Limits of the whole installation: slots, start tokens, the pause, and clocks that disagree."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.postgres.installation import PostgresDialingSwitch
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.errors import Retryable
from tests.audit_log import entry_at


async def test_fifty_concurrent_claims_never_dial_more_than_the_slots_allow(stack):
    stack.with_policy(max_live_calls=5)
    messages = [await stack.accept() for _ in range(50)]
    live: list[int] = []

    async def count(_):
        live.append((await stack.one("SELECT count(*) FROM attempts WHERE holds_slot"))["count"])

    stack.provider.during_dial = count
    await asyncio.gather(*(stack.place(message) for message in messages))
    assert len(stack.provider.dials) == 5
    assert max(live) <= 5
    waiting = await stack.all("SELECT due_at FROM tasks WHERE status = 'pending'")
    assert len(waiting) == 45


async def test_a_freed_slot_is_used_by_the_next(stack):
    stack.with_policy(max_live_calls=1)
    first, second = await stack.accept(), await stack.accept()
    await stack.place(first)
    await stack.place(second)
    attempt = await stack.attempt(first.call_id)
    await stack.hear(first.call_id, stack.provider.no_answer(attempt["attempt_id"]))
    stack.clock.advance(1)
    await stack.place_due()
    assert len(stack.provider.dials) == 2


async def test_no_more_calls_start_within_a_second_than_the_rate_allows(stack):
    stack.with_policy(calls_per_second=3)
    messages = [await stack.accept() for _ in range(10)]
    await asyncio.gather(*(stack.place(message) for message in messages))
    assert len(stack.provider.dials) == 3
    stack.clock.advance(0.5)
    late = await stack.accept()
    await stack.place(late)
    assert await stack.last_rule(late.call_id) == "start_rate"
    stack.clock.advance(0.5)
    await stack.place_due()
    assert len(stack.provider.dials) == 6


async def test_the_slots_offered_to_the_consumer_are_those_of_the_eligibility_check(stack):
    stack.with_policy(max_live_calls=3)
    for _ in range(2):
        await stack.place(await stack.accept())
    stack.clock.advance(1)
    assert await stack.store.free_slots(3, 10, stack.clock.now()) == 1
    assert await stack.store.free_slots(2, 10, stack.clock.now()) == 0
    await stack.all("UPDATE installation SET paused_at = now() RETURNING 1")
    assert await stack.store.free_slots(3, 10, stack.clock.now()) == 0


async def test_a_paused_system_waits_and_goes_on_after_resume(stack):
    message = await stack.accept()
    await stack.all("UPDATE installation SET paused_at = now() RETURNING 1")
    await stack.place(message)
    assert stack.provider.dials == []
    task = await stack.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", stack.clock.now() + timedelta(seconds=5))
    await stack.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    stack.clock.advance(5)
    await stack.place_due()
    assert len(stack.provider.dials) == 1


async def test_nothing_is_claimed_after_an_acknowledged_pause(stack):
    waiting = [await stack.accept() for _ in range(60)]
    claimed_at_pause: list[int] = []

    async def count_claims():
        return (await stack.one("SELECT count(*) FROM attempts"))["count"]

    async def work():
        while waiting:
            await stack.place(waiting.pop())

    async def pause():
        while len(stack.provider.dials) < 3:
            await asyncio.sleep(0)
        await PostgresDialingSwitch(stack.pool).pause("drill", entry_at(stack.clock.now()))
        claimed_at_pause.append(await count_claims())

    await asyncio.gather(pause(), *(work() for _ in range(6)))
    assert claimed_at_pause == [await count_claims()]
    assert 3 <= claimed_at_pause[0] < 60, "the pause came in time to be seen"


async def test_a_pause_waits_for_the_claim_that_has_read_that_it_is_not_paused(stack):
    async with stack.store.transaction() as tx:
        assert not (await tx.capacity.lock(stack.clock.now())).paused
        pausing = asyncio.create_task(PostgresDialingSwitch(stack.pool).pause("drill", entry_at(stack.clock.now())))
        await asyncio.sleep(0.05)
        assert not pausing.done()
    await pausing


async def test_a_clock_off_the_databases_does_not_dial(stack):
    message = await stack.accept()
    stack.store = PostgresStore(stack.pool)  # it compares the clocks, and the test's clock is in another month
    await stack.place(message)
    assert stack.provider.dials == []
    assert await stack.last_rule(message.call_id) == "clock_skew"
    assert abs((await stack.task(message.call_id))["due_at"] - datetime.now(UTC)) < timedelta(seconds=20)


async def test_claims_and_stops_of_the_same_people_in_any_mixture_finish(stack):
    """None waits for another in a circle: a deadlock would end here as an error, a second late."""
    messages = [await stack.accept(f"+1415555010{n % 5}", contact_id=f"crm-{n % 7}") for n in range(30)]
    stops = [stack.suppress(phone=f"+1415555010{n}") for n in (1, 3)] + [stack.suppress(contact_id="crm-2")]
    cancels = [stack.cancel(message.call_id) for message in messages[::4]]
    await asyncio.gather(*map(stack.place, messages), *stops, *cancels)
    held = await stack.all("SELECT phone FROM attempts WHERE holds_person GROUP BY phone HAVING count(*) > 1")
    assert held == []
    still_due = await stack.all(
        "SELECT 1 FROM calls JOIN tasks USING (call_id) WHERE tasks.status IN ('pending', 'dispatched')"
        " AND (phone IN ('+14155550101', '+14155550103') OR contact_id = 'crm-2')"
    )
    assert still_due == []
    dialed_before = len(stack.provider.dials)
    for message in messages:
        await stack.place(message)
    assert len(stack.provider.dials) == dialed_before


async def test_an_attempt_changed_behind_a_transactions_back_is_refused_by_compare_and_set(stack):
    message = await stack.accept()
    await stack.place(message)
    with pytest.raises(Retryable):
        await _end_attempt_that_another_has_advanced(stack, message.call_id)
    attempt = await stack.attempt(message.call_id)
    assert (attempt["state"], attempt["duration_ms"]) == ("ended", None)


async def _end_attempt_that_another_has_advanced(stack, call_id):
    attempt_id = (await stack.attempt(call_id))["attempt_id"]
    async with stack.store.transaction() as tx:
        attempt = await tx.attempts.get(attempt_id)
        await stack.all("UPDATE attempts SET state = 'ended' RETURNING 1")
        attempt.duration_ms = 1
        await tx.save(attempt)
