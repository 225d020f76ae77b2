"""When a failed attempt is followed by another, and what Engage is promised."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.call import RetryPolicy, TaskStatus
from ringback.domain.calling_hours import CallingHours
from ringback.flows.scheduled_calls import ScheduledCalls
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack, Talk

DIALED_AT = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)


async def promised(stack: EventStack, call_id: str) -> tuple[bool, str | None, bool]:
    data = await stack.last(call_id)
    return data["will_retry"], data["next_attempt_at"], data["is_final"]


async def test_the_delay_counts_from_the_dial_however_late_the_webhook_comes(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3, (3600, 14400)))
    stack.clock.advance(7200)
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (True, "2026-12-01T18:00:00.000Z", False)
    task = await stack.open_task(talk.call_id)
    assert (task["kind"], task["due_at"], task["status"]) == ("retry", DIALED_AT + timedelta(hours=1), "pending")
    call = await stack.call(talk.call_id)
    assert (call["status"], call["final"]) == ("scheduled", False)


async def test_the_last_delay_repeats_until_the_budget_is_used_and_one_event_is_final(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(4, (600, 1200)))
    delays = []
    for _ in range(3):
        dialed_at = stack.clock.now()
        await stack.play(talk, r.BUSY)
        delays.append(((await stack.open_task(talk.call_id))["due_at"] - dialed_at).total_seconds())
        talk = await stack.dial_next(talk.call_id)
    await stack.play(talk, r.BUSY)
    assert delays == [600, 1200, 1200]
    events = await stack.events(talk.call_id)
    assert [event["data"].get("is_final") for event in events] == [None, False, None, False, None, False, None, True]
    assert [event["data"]["sequence"] for event in events] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await promised(stack, talk.call_id) == (False, None, True)
    assert len(set(stack.provider.dialed)) == 4


@pytest.mark.parametrize("recording", [r.DECLINED, r.INVALID, r.BROKEN_DIAL, r.VOICEMAIL, r.PARTIAL, r.OPT_OUT])
async def test_only_what_the_policy_names_is_tried_again(stack: EventStack, recording: dict[str, r.Body]) -> None:
    talk = await stack.talk(retry=RetryPolicy(5))
    await stack.play(talk, recording)
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert not await stack.has_open_task(talk.call_id)


async def test_a_policy_may_name_one_reason_alone(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3, on=frozenset({"busy"})))
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (False, None, True)


async def test_nothing_is_promised_beyond_the_expiry(stack: EventStack) -> None:
    retry = RetryPolicy(2, (3600,))
    at_expiry = await stack.talk(retry=retry, expires_at=DIALED_AT + timedelta(hours=1))
    await stack.play(at_expiry, r.NO_ANSWER)
    assert await promised(stack, at_expiry.call_id) == (False, None, True)


async def test_a_retry_waits_for_calling_hours(make_line: Callable[..., EventStack]) -> None:
    stack = make_line(calling_hours=CallingHours.parse("mon-sat 09:00-10:00"))
    talk = await stack.talk(retry=RetryPolicy(2, (5400,)), time_zone="America/Los_Angeles")
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (True, "2026-12-02T17:00:00.000Z", False)


async def test_a_retry_that_hours_push_beyond_the_expiry_is_not_promised(make_line: Callable[..., EventStack]) -> None:
    stack = make_line(calling_hours=CallingHours.parse("mon-sat 09:00-10:00"))
    talk = await stack.talk(retry=RetryPolicy(2, (5400,)), expires_at=DIALED_AT + timedelta(hours=20))
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (False, None, True)


async def test_capacity_costs_no_budget_and_no_delay_of_the_policy(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(2, (600, 7200)))
    for seconds in (60, 120):
        dialed_at = stack.clock.now()
        await stack.play(talk, r.CAPACITY)
        assert (await stack.last(talk.call_id))["reason"] == "capacity"
        assert (await stack.open_task(talk.call_id))["due_at"] == dialed_at + timedelta(seconds=seconds)
        talk = await stack.dial_next(talk.call_id)
    dialed_at = stack.clock.now()
    await stack.play(talk, r.NO_ANSWER)
    assert (await stack.open_task(talk.call_id))["due_at"] == dialed_at + timedelta(seconds=600)
    talk = await stack.dial_next(talk.call_id)
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (False, None, True)
    assert (await stack.call(talk.call_id))["attempts_made"] == 4


async def test_capacity_is_tried_again_without_any_policy(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.CAPACITY)
    assert await promised(stack, talk.call_id) == (True, "2026-12-01T17:01:00.000Z", False)


async def callback(stack: EventStack, talk: Talk, *, from_attempt: bool, hours: int = 24) -> None:
    """Write the open task of reschedule_call, promised during the attempt or requested by a system."""
    due_at = stack.clock.now() + timedelta(hours=hours)
    async with stack.pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO tasks (task_id, call_id, kind, due_at, status, from_attempt, source, created_at,"
            " redispatches) "
            "VALUES ($1, $2, 'callback', $3, 'pending', $4, 'agent', $5, 0)",
            stack.new_id(),
            talk.call_id,
            due_at,
            talk.attempt_id if from_attempt else None,
            stack.clock.now(),
        )


async def test_a_callback_without_capacity_stays_a_callback(stack: EventStack) -> None:
    talk = await stack.talk()  # one attempt, which the callback comes after
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.PARTIAL)
    talk = await stack.dial_next(talk.call_id)
    await stack.play(talk, r.CAPACITY)
    task = await stack.open_task(talk.call_id)
    assert (task["kind"], task["source"]) == ("callback", "agent")
    talk = await stack.dial_next(talk.call_id)
    await stack.play(talk, r.COMPLETED)
    assert (await stack.told(talk.call_id))[-2:] == ["started", "completed"]
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_a_pending_callback_takes_the_place_of_a_retry(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3))
    await callback(stack, talk, from_attempt=False)
    await stack.play(talk, r.NO_ANSWER)
    assert await promised(stack, talk.call_id) == (True, "2026-12-02T17:00:00.000Z", False)
    assert (await stack.open_task(talk.call_id))["kind"] == "callback"


async def test_an_attempt_whose_agent_rescheduled_ends_with_that_alone(stack: EventStack) -> None:
    for recording in (r.PARTIAL, r.VOICEMAIL, r.connected("user_hangup", r.analysis(True), **r.SILENCE)):
        other = EventStack(stack.store, stack.pool, stack.clock)
        talk = await other.talk()
        await callback(other, talk, from_attempt=True)
        await other.play(talk, recording)
        assert await other.told(talk.call_id) == ["initiated", "started"]
        attempt = await other.attempt(talk.call_id)
        assert (attempt["verdict_type"], attempt["holds_person"]) == ("voice_ai_call_rescheduled", False)
        assert (await other.call(talk.call_id))["status"] == "scheduled"


async def test_a_goal_that_was_met_is_told_although_a_callback_stands(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    assert (await stack.last(talk.call_id))["is_final"] is False


async def test_a_callback_that_a_system_asked_for_does_not_replace_the_verdict(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=False)
    await stack.play(talk, r.PARTIAL)
    assert await stack.told(talk.call_id) == ["initiated", "started", "partially_completed"]
    assert (await stack.last(talk.call_id))["is_final"] is False


async def test_a_callback_that_was_taken_back_before_the_verdict_leaves_a_final_verdict(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.PARTIAL, "call_started", "call_ended")
    task = await stack.open_task(talk.call_id)
    async with stack.pool.acquire() as connection:
        await connection.execute("UPDATE tasks SET status = $2 WHERE task_id = $1", task["task_id"], TaskStatus.DELETED)
    await stack.play(talk, r.PARTIAL, "call_analyzed")
    assert (await stack.told(talk.call_id))[-1] == "partially_completed"
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_a_verdict_that_comes_after_the_callback_was_dialed_is_not_the_last_word(stack: EventStack) -> None:
    first = await stack.talk(retry=RetryPolicy(5))
    await callback(stack, first, from_attempt=True, hours=1)
    await stack.play(first, r.PARTIAL, "call_started", "call_ended")
    stack.record(first, r.PARTIAL, "call_ended")
    stack.clock.advance(1800)
    await stack.watchdog.reconcile_due_attempts()  # the person is let go: an opt-out would have been in the analysis
    second = await stack.dial_next(first.call_id)
    assert second.attempt_id != first.attempt_id
    await stack.play(first, r.PARTIAL, "call_analyzed")
    assert (await stack.last(first.call_id))["attempt"] == 1
    assert (await stack.last(first.call_id))["is_final"] is False
    await stack.play(second, r.COMPLETED)
    finals = [event["data"]["attempt"] for event in await stack.events(first.call_id) if event["data"].get("is_final")]
    assert finals == [2]
    assert (await stack.call(first.call_id))["status"] == "completed"


async def test_a_verdict_that_comes_after_the_call_was_over_closes_nothing(stack: EventStack) -> None:
    first = await stack.talk(retry=RetryPolicy(5))
    await callback(stack, first, from_attempt=True, hours=1)
    await stack.play(first, r.NO_ANSWER, "call_ended", start_timestamp=r.START_MS, duration_ms=9000)
    await stack.play(first, r.PARTIAL, "call_started")
    stack.record(first, r.PARTIAL, "call_ended")
    stack.clock.advance(1800)
    await stack.watchdog.reconcile_due_attempts()
    second = await stack.dial_next(first.call_id)
    await stack.play(second, r.COMPLETED)
    await stack.play(first, r.PARTIAL, "call_analyzed")
    events = await stack.events(first.call_id)
    assert [event["data"]["attempt"] for event in events if event["data"].get("is_final")] == [2]
    assert (await stack.last(first.call_id))["attempt"] == 1
    assert (await stack.call(first.call_id))["status"] == "completed"
    assert not await stack.has_open_task(first.call_id)


async def test_a_retry_does_not_follow_the_expiry_of_the_call(stack: EventStack) -> None:
    """The clock ends the call when its promised retry is out of time: one call-level failure."""
    talk = await stack.talk(retry=RetryPolicy(2, (600,)), expires_at=DIALED_AT + timedelta(hours=1))
    await stack.play(talk, r.NO_ANSWER)
    stack.clock.advance(3600)
    await ScheduledCalls(stack.store, stack.clock, None).end_expired_calls()  # type: ignore[arg-type]
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["attempt"], data["attempted"], data["is_final"]) == ("expired", None, False, True)
    assert (await stack.call(talk.call_id))["status"] == "expired"
    task = await stack.one("SELECT status FROM tasks WHERE call_id = $1 AND kind = 'retry'", talk.call_id)
    assert task["status"] == "expired"
