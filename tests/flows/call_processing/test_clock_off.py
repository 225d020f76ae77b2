"""A clock that is off the database's: nothing is due, late or over by it, and nothing stays wrong when it is right."""

from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.abt_event import AbtEvent
from ringback.domain.errors import ClockIsOff

NINE_DAYS_S = 9 * 86400.0


@pytest.fixture
def real_stack(stack):
    """Its clock stands at the database's time, and its store compares the two."""
    stack.clock.advance((datetime.now(UTC) - stack.clock.now()).total_seconds())
    stack.store = PostgresStore(stack.pool)
    return stack


@pytest.mark.parametrize("ahead_s", [2.6, NINE_DAYS_S, -NINE_DAYS_S])
async def test_the_scheduler_does_nothing_by_a_clock_that_is_off(real_stack, ahead_s):
    message = await real_stack.accept(due_at=real_stack.clock.now() + timedelta(hours=1))
    real_stack.clock.advance(ahead_s)
    duties = real_stack.scheduled, real_stack.reconciliation
    for duty in (
        duties[0].release_due_calls,
        duties[0].publish_lost_calls,
        duties[0].end_expired_calls,
        duties[1].reconcile_due_attempts,
    ):
        with pytest.raises(ClockIsOff):
            await duty()
    assert (await real_stack.task(message.call_id))["status"] == "pending"
    assert not (await real_stack.call(message.call_id))["final"]


async def test_a_call_that_only_a_wrong_clock_calls_expired_waits_and_is_dialed_by_the_right_one(real_stack):
    message = await real_stack.accept()
    real_stack.clock.advance(NINE_DAYS_S)
    await real_stack.place(message)
    assert await real_stack.last_rule(message.call_id) == "clock_skew"
    # By the database's time, which has gone on since the clock was set.
    due_at = (await real_stack.task(message.call_id))["due_at"]
    assert due_at < datetime.now(UTC) + timedelta(seconds=6)
    real_stack.clock.advance((due_at - real_stack.clock.now()).total_seconds())
    real_stack.store = PostgresStore(real_stack.pool, clock_is_real=False)  # five seconds are not waited for here
    await real_stack.place_due()
    assert len(real_stack.provider.dials) == 1


async def test_an_event_written_by_a_clock_that_is_ahead_leaves_when_it_is_right_again(real_stack):
    real_stack.clock.advance(NINE_DAYS_S)
    async with real_stack.store.transaction() as tx:
        await tx.outbox.enqueue_event(
            AbtEvent("c/1", "voice_ai_call_started", "c", real_stack.clock.now(), {}), real_stack.clock.now()
        )
    real_stack.clock.advance(-NINE_DAYS_S + 1)
    now = real_stack.clock.now()
    assert len(await real_stack.store.take_outbox(["abt_event"], now, now + timedelta(seconds=20), 10)) == 1
