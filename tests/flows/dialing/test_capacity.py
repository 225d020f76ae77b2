"""What concerns the whole installation: slots, start tokens, the pause, and clocks that disagree."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.postgres.dialing_switch import PostgresDialingSwitch
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.errors import Retryable


async def test_fifty_concurrent_claims_never_dial_more_than_the_slots_allow(desk):
    desk.with_policy(max_live_calls=5)
    messages = [await desk.accept() for _ in range(50)]
    live: list[int] = []

    async def count(_):
        live.append((await desk.one("SELECT count(*) FROM attempts WHERE holds_slot"))["count"])

    desk.provider.during_dial = count
    await asyncio.gather(*(desk.place(message) for message in messages))
    assert len(desk.provider.dials) == 5
    assert max(live) <= 5
    waiting = await desk.all("SELECT due_at FROM tasks WHERE status = 'pending'")
    assert len(waiting) == 45


async def test_a_freed_slot_is_used_by_the_next(desk):
    desk.with_policy(max_live_calls=1)
    first, second = await desk.accept(), await desk.accept()
    await desk.place(first)
    await desk.place(second)
    attempt = await desk.attempt(first.call_id)
    await desk.hear(first.call_id, desk.provider.no_answer(attempt["attempt_id"]))
    desk.clock.advance(1)
    await desk.place_due()
    assert len(desk.provider.dials) == 2


async def test_no_more_calls_start_within_a_second_than_the_rate_allows(desk):
    desk.with_policy(calls_per_second=3)
    messages = [await desk.accept() for _ in range(10)]
    await asyncio.gather(*(desk.place(message) for message in messages))
    assert len(desk.provider.dials) == 3
    desk.clock.advance(0.5)
    late = await desk.accept()
    await desk.place(late)
    assert await desk.last_rule(late.call_id) == "start_rate"
    desk.clock.advance(0.5)
    await desk.place_due()
    assert len(desk.provider.dials) == 6


async def test_the_free_slots_offered_to_the_consumer_are_those_of_the_gate(desk):
    desk.with_policy(max_live_calls=3)
    for _ in range(2):
        await desk.place(await desk.accept())
    desk.clock.advance(1)
    assert await desk.store.free_slots(3, 10, desk.clock.now()) == 1
    assert await desk.store.free_slots(2, 10, desk.clock.now()) == 0
    await desk.all("UPDATE installation SET paused_at = now() RETURNING 1")
    assert await desk.store.free_slots(3, 10, desk.clock.now()) == 0


async def test_a_paused_system_waits_and_goes_on_after_resume(desk):
    message = await desk.accept()
    await desk.all("UPDATE installation SET paused_at = now() RETURNING 1")
    await desk.place(message)
    assert desk.provider.dials == []
    task = await desk.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", desk.clock.now() + timedelta(seconds=5))
    await desk.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    desk.clock.advance(5)
    await desk.place_due()
    assert len(desk.provider.dials) == 1


async def test_nothing_is_claimed_after_an_acknowledged_pause(desk):
    waiting = [await desk.accept() for _ in range(60)]
    claimed_at_pause: list[int] = []

    async def count_claims():
        return (await desk.one("SELECT count(*) FROM attempts"))["count"]

    async def work():
        while waiting:
            await desk.place(waiting.pop())

    async def pause():
        while len(desk.provider.dials) < 3:
            await asyncio.sleep(0)
        await PostgresDialingSwitch(desk.pool).pause("drill", desk.clock.now())
        claimed_at_pause.append(await count_claims())

    await asyncio.gather(pause(), *(work() for _ in range(6)))
    assert claimed_at_pause == [await count_claims()]
    assert 3 <= claimed_at_pause[0] < 60, "the pause came in time to be seen"


async def test_a_pause_waits_for_the_claim_that_has_read_that_it_is_not_paused(desk):
    async with desk.store.transaction() as tx:
        assert not (await tx.capacity(desk.clock.now())).paused
        pausing = asyncio.create_task(PostgresDialingSwitch(desk.pool).pause("drill", desk.clock.now()))
        await asyncio.sleep(0.05)
        assert not pausing.done()
    await pausing


async def test_a_clock_off_the_databases_does_not_dial(desk):
    message = await desk.accept()
    desk.store = PostgresStore(desk.pool)  # this one compares the clocks, and ours stands in another month
    await desk.place(message)
    assert desk.provider.dials == []
    assert await desk.last_rule(message.call_id) == "clock_skew"
    assert abs((await desk.task(message.call_id))["due_at"] - datetime.now(UTC)) < timedelta(seconds=20)


async def test_claims_and_stops_of_the_same_people_in_any_mixture_settle(desk):
    """None waits for another in a circle: a deadlock would end here as an error, a second late."""
    messages = [await desk.accept(f"+1415555010{n % 5}", contact_id=f"crm-{n % 7}") for n in range(30)]
    stops = [desk.suppress(phone=f"+1415555010{n}") for n in (1, 3)] + [desk.suppress(contact_id="crm-2")]
    cancels = [desk.cancel(message.call_id) for message in messages[::4]]
    await asyncio.gather(*map(desk.place, messages), *stops, *cancels)
    held = await desk.all("SELECT phone FROM attempts WHERE holds_person GROUP BY phone HAVING count(*) > 1")
    assert held == []
    still_due = await desk.all(
        "SELECT 1 FROM calls JOIN tasks USING (call_id) WHERE tasks.status IN ('pending', 'dispatched')"
        " AND (phone IN ('+14155550101', '+14155550103') OR contact_id = 'crm-2')"
    )
    assert still_due == []
    dialed_before = len(desk.provider.dials)
    for message in messages:
        await desk.place(message)
    assert len(desk.provider.dials) == dialed_before


async def test_an_attempt_changed_behind_a_transactions_back_is_refused_by_compare_and_set(desk):
    message = await desk.accept()
    await desk.place(message)
    with pytest.raises(Retryable):
        await _end_attempt_that_another_has_advanced(desk, message.call_id)
    attempt = await desk.attempt(message.call_id)
    assert (attempt["state"], attempt["duration_ms"]) == ("ended", None)


async def _end_attempt_that_another_has_advanced(desk, call_id):
    attempt_id = (await desk.attempt(call_id))["attempt_id"]
    async with desk.store.transaction() as tx:
        attempt = await tx.attempt(attempt_id)
        await desk.all("UPDATE attempts SET state = 'ended' RETURNING 1")
        attempt.duration_ms = 1
        await tx.save(attempt)
