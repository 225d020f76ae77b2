"""Cancel, suppress, opt out: what was promised and will not happen is told once, and nothing follows."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.abt_event import FailReason
from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy
from ringback.flows.ending_calls import cancel_call, end_call
from ringback.flows.suppression import lift_suppression, suppress_now
from tests.flows.call_outcome.test_retries import callback
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import Body, Stack

RETRY = RetryPolicy(max_attempts=3)


def closing(data: Body) -> tuple[object, ...]:
    return (
        data["reason"],
        data["provider_reason"],
        data["attempt"],
        data["attempt_id"],
        data["attempted"],
        data["will_retry"],
        data["next_attempt_at"],
        data["is_final"],
    )


def closed_by(reason: str) -> tuple[object, ...]:
    return (reason, None, None, None, False, False, None, True)


async def cancel(stack: Stack, call_id: str) -> str | None:
    return await cancel_call(stack.store, stack.clock, call_id)


async def suppress(stack: Stack, **whom: str) -> tuple[str, list[str]]:
    named = {"phone": None, "contact_id": None, **whom}
    return await suppress_now(stack.store, stack.clock, stack.new_id, reason="asked", **named)  # type: ignore[arg-type]


async def test_a_call_cancelled_before_its_dial_ends_with_one_event(stack: Stack) -> None:
    call_id = await stack.accept()
    assert await cancel(stack, call_id) == "cancelled"
    assert await cancel(stack, call_id) == "cancelled"
    (event,) = await stack.events(call_id)
    assert closing(event["data"]) == closed_by("cancelled")
    assert "provider_call_id" not in event["data"]
    call = await stack.call(call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    assert not await stack.has_open_task(call_id)


async def test_nobody_cancels_a_call_that_is_not_there(stack: Stack) -> None:
    assert await cancel(stack, "no-such-call") is None


async def test_a_promised_retry_that_is_cancelled_is_told_as_the_end_of_the_call(stack: Stack) -> None:
    talk = await stack.talk(retry=RETRY)
    await stack.play(talk, r.NO_ANSWER)
    assert await cancel(stack, talk.call_id) == "cancelled"
    assert await cancel(stack, talk.call_id) == "cancelled"
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer", "failed cancelled"]
    assert closing(await stack.last(talk.call_id)) == closed_by("cancelled")
    assert (await stack.call(talk.call_id))["status"] == "cancelled"


async def test_a_callback_that_is_deleted_is_told_as_the_end_of_the_call(stack: Stack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.PARTIAL)
    async with stack.store.transaction() as tx:
        call = await tx.lock_call(talk.call_id)
        task, attempt = await tx.open_task(talk.call_id), await tx.latest_attempt(talk.call_id)
        assert call is not None
        assert await end_call(tx, call, task, attempt, FailReason.CANCELLED, stack.clock.now())
    assert await stack.told(talk.call_id) == ["initiated", "started", "failed cancelled"]
    assert closing(await stack.last(talk.call_id)) == closed_by("cancelled")


async def test_cancelling_while_it_rings_lets_the_verdict_end_the_call(stack: Stack) -> None:
    talk = await stack.talk(retry=RETRY)
    assert await cancel(stack, talk.call_id) == "already_dispatched"
    await stack.play(talk, r.NO_ANSWER)
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert (await stack.call(talk.call_id))["status"] == "cancelled"


async def test_cancelling_while_it_rings_takes_the_callback_too_and_keeps_the_talk(stack: Stack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    assert await cancel(stack, talk.call_id) == "already_dispatched"
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert (await stack.call(talk.call_id))["status"] == "completed"
    assert await cancel(stack, talk.call_id) == "already_dispatched"


async def test_cancelling_a_waiting_attempt_ends_the_call_and_a_late_webhook_corrects(stack: Stack) -> None:
    stack.provider.answer = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
    talk = await stack.talk()
    assert await cancel(stack, talk.call_id) == "cancelled"
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["dial"], attempt["holds_person"]) == ("rejected", "not_dialed", False)
    await stack.play(talk, r.COMPLETED)
    events = await stack.events(talk.call_id)
    assert await stack.told(talk.call_id) == ["failed cancelled", "initiated", "started", "completed"]
    assert (events[3]["data"]["corrects"], events[3]["data"]["is_final"]) == (events[0]["id"], True)
    assert (await stack.attempt(talk.call_id))["dial"] == "answered"


async def test_a_suppressed_phone_ends_all_its_calls_and_lists_what_is_under_way(stack: Stack) -> None:
    ringing = await stack.talk(contact=0, phone=0, retry=RETRY)
    pending = await stack.accept(contact=1, phone=0, not_before=stack.clock.now() + timedelta(hours=1))
    elsewhere = await stack.accept(contact=0, phone=2)
    _, under_way = await suppress(stack, phone=stack.phone(0))
    assert under_way == [ringing.attempt_id]
    assert closing(await stack.last(pending)) == closed_by("suppressed")
    assert (await stack.call(pending))["status"] == "failed"
    assert await stack.told(elsewhere) == []
    await stack.play(ringing, r.NO_ANSWER)
    assert await stack.told(ringing.call_id) == ["initiated", "failed no_answer"]
    assert (await stack.last(ringing.call_id))["is_final"] is True


async def test_a_suppressed_contact_is_stopped_at_every_phone(stack: Stack) -> None:
    retried = await stack.talk(contact=0, phone=0, retry=RETRY)
    await stack.play(retried, r.BUSY)
    other_phone = await stack.accept(contact=0, phone=1)
    other_contact = await stack.accept(contact=1, phone=2)
    _, under_way = await suppress(stack, contact_id=stack.contact(0))
    assert under_way == []
    assert await stack.told(retried.call_id) == ["initiated", "failed busy", "failed suppressed"]
    assert await stack.told(other_phone) == ["failed suppressed"]
    assert await stack.told(other_contact) == []


async def test_a_lifted_suppression_leaves_what_it_ended_and_lets_new_calls_in(stack: Stack) -> None:
    ended = await stack.accept()
    suppression_id, _ = await suppress(stack, phone=stack.phone())
    assert (await stack.call(await stack.accept()))["status"] == "failed"
    assert await lift_suppression(stack.store, stack.clock, suppression_id, "asked back")
    assert not await lift_suppression(stack.store, stack.clock, suppression_id, "asked back")
    assert (await stack.call(ended))["final"] is True
    assert (await stack.call(await stack.accept()))["final"] is False


async def test_suppressions_of_one_person_from_two_sides_do_not_block_each_other(stack: Stack) -> None:
    for phone in range(4):
        await stack.accept(contact=0, phone=phone)
    sides = [suppress(stack, contact_id=stack.contact(0)), *(suppress(stack, phone=stack.phone(n)) for n in range(4))]
    await asyncio.gather(*sides)
    told = await stack.all(
        "SELECT count(*) FROM outbox WHERE kind = 'abt_event' AND call_id LIKE $1", f"{stack.person:05d}-%"
    )
    assert told[0]["count"] == 4


async def opt_out_rows(stack: Stack) -> list[tuple[str, str, str, str]]:
    rows = await stack.all("SELECT * FROM suppressions WHERE contact_id = $1", stack.contact())
    return [(row["phone"], row["contact_id"], row["reason"], row["source"]) for row in rows]


@pytest.mark.parametrize("event", ["call_ended", "call_analyzed"])
async def test_an_opt_out_suppresses_with_the_first_webhook_that_says_so(stack: Stack, event: str) -> None:
    talk = await stack.talk(retry=RETRY)
    same_phone = await stack.accept(contact=1, phone=0)
    same_contact = await stack.accept(contact=0, phone=1)
    stack.clock.advance(900)
    await stack.play(talk, r.OPT_OUT, "call_started", event)
    assert await opt_out_rows(stack) == [(stack.phone(), stack.contact(), "opt_out", "provider")]
    for call_id in (same_phone, same_contact):
        data = await stack.last(call_id)
        assert closing(data) == closed_by("suppressed")
        assert data["occurred_at"] == "2026-12-01T17:01:29.500Z"  # when the person said so
    await stack.play(talk, r.OPT_OUT)
    assert len(await opt_out_rows(stack)) == 1
    assert (await stack.told(talk.call_id))[-1] == "partially_completed"
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert (await stack.attempt(talk.call_id))["business"] == {"opt_out": True, "goal_met": False}


async def test_an_opt_out_takes_the_callback_that_was_promised_before_it(stack: Stack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.OPT_OUT)
    assert not await stack.has_open_task(talk.call_id)
    assert (await stack.told(talk.call_id))[-1] == "partially_completed"
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_an_opt_out_reaches_beyond_the_phone_that_was_suppressed_already(stack: Stack) -> None:
    talk = await stack.talk()
    await suppress(stack, phone=stack.phone())
    same_contact = await stack.accept(contact=0, phone=1)
    await stack.play(talk, r.OPT_OUT)
    assert await stack.told(same_contact) == ["failed suppressed"]


async def test_an_opt_out_in_a_waiting_attempt_is_kept_and_ends_the_call_once(stack: Stack) -> None:
    stack.provider.answer = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
    talk = await stack.talk()
    await stack.play(talk, r.OPT_OUT, "call_analyzed")
    assert await stack.told(talk.call_id) == ["initiated", "started", "partially_completed"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert await opt_out_rows(stack) == [(stack.phone(), stack.contact(), "opt_out", "provider")]
