"""Cancel, suppress, opt out: what was promised and will not happen is told once, and nothing follows."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.abt_event import FailReason
from ringback.domain.call import RetryPolicy
from ringback.domain.dial import DialAnswer, DialAnswerKind
from ringback.flows.cancellation import cancel_call
from ringback.flows.closing import stop_call
from ringback.flows.suppression import lift_suppression, suppress_now

from . import recordings as r
from .conftest import Body, Line
from .test_retries import callback

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


async def cancel(line: Line, call_id: str) -> str | None:
    return await cancel_call(line.store, line.clock, call_id)


async def suppress(line: Line, **whom: str) -> tuple[str, list[str]]:
    named = {"phone": None, "contact_id": None, **whom}
    return await suppress_now(line.store, line.clock, line.new_id, reason="asked", **named)  # type: ignore[arg-type]


async def test_a_call_cancelled_before_its_dial_ends_with_one_event(line: Line) -> None:
    call_id = await line.accept()
    assert await cancel(line, call_id) == "cancelled"
    assert await cancel(line, call_id) == "cancelled"
    (event,) = await line.events(call_id)
    assert closing(event["data"]) == closed_by("cancelled")
    assert "provider_call_id" not in event["data"]
    call = await line.call(call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    assert not await line.has_open_task(call_id)


async def test_nobody_cancels_a_call_that_is_not_there(line: Line) -> None:
    assert await cancel(line, "no-such-call") is None


async def test_a_promised_retry_that_is_cancelled_is_told_as_the_end_of_the_call(line: Line) -> None:
    talk = await line.talk(retry=RETRY)
    await line.play(talk, r.NO_ANSWER)
    assert await cancel(line, talk.call_id) == "cancelled"
    assert await cancel(line, talk.call_id) == "cancelled"
    assert await line.told(talk.call_id) == ["initiated", "failed no_answer", "failed cancelled"]
    assert closing(await line.last(talk.call_id)) == closed_by("cancelled")
    assert (await line.call(talk.call_id))["status"] == "cancelled"


async def test_a_callback_that_is_deleted_is_told_as_the_end_of_the_call(line: Line) -> None:
    talk = await line.talk()
    await callback(line, talk, from_attempt=True)
    await line.play(talk, r.PARTIAL)
    async with line.store.transaction() as tx:
        call = await tx.lock_call(talk.call_id)
        task, attempt = await tx.open_task(talk.call_id), await tx.latest_attempt(talk.call_id)
        assert call is not None
        assert await stop_call(tx, call, task, attempt, FailReason.CANCELLED, line.clock.now())
    assert await line.told(talk.call_id) == ["initiated", "started", "failed cancelled"]
    assert closing(await line.last(talk.call_id)) == closed_by("cancelled")


async def test_cancelling_while_it_rings_lets_the_verdict_end_the_call(line: Line) -> None:
    talk = await line.talk(retry=RETRY)
    assert await cancel(line, talk.call_id) == "already_dispatched"
    await line.play(talk, r.NO_ANSWER)
    assert await line.told(talk.call_id) == ["initiated", "failed no_answer"]
    assert (await line.last(talk.call_id))["is_final"] is True
    assert (await line.call(talk.call_id))["status"] == "cancelled"


async def test_cancelling_while_it_rings_takes_the_callback_too_and_keeps_the_talk(line: Line) -> None:
    talk = await line.talk()
    await callback(line, talk, from_attempt=True)
    assert await cancel(line, talk.call_id) == "already_dispatched"
    await line.play(talk, r.COMPLETED)
    assert await line.told(talk.call_id) == ["initiated", "started", "completed"]
    assert (await line.last(talk.call_id))["is_final"] is True
    assert (await line.call(talk.call_id))["status"] == "completed"
    assert await cancel(line, talk.call_id) == "already_dispatched"


async def test_cancelling_a_waiting_attempt_ends_the_call_and_a_late_webhook_corrects(line: Line) -> None:
    line.provider.answer = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
    talk = await line.talk()
    assert await cancel(line, talk.call_id) == "cancelled"
    attempt = await line.attempt(talk.call_id)
    assert (attempt["state"], attempt["dial"], attempt["holds_person"]) == ("rejected", "not_dialed", False)
    await line.play(talk, r.COMPLETED)
    events = await line.events(talk.call_id)
    assert await line.told(talk.call_id) == ["failed cancelled", "initiated", "started", "completed"]
    assert (events[3]["data"]["corrects"], events[3]["data"]["is_final"]) == (events[0]["id"], True)
    assert (await line.attempt(talk.call_id))["dial"] == "answered"


async def test_a_suppressed_phone_ends_all_its_calls_and_lists_what_is_under_way(line: Line) -> None:
    ringing = await line.talk(contact=0, phone=0, retry=RETRY)
    pending = await line.accept(contact=1, phone=0, not_before=line.clock.now() + timedelta(hours=1))
    elsewhere = await line.accept(contact=0, phone=2)
    _, under_way = await suppress(line, phone=line.phone(0))
    assert under_way == [ringing.attempt_id]
    assert closing(await line.last(pending)) == closed_by("suppressed")
    assert (await line.call(pending))["status"] == "failed"
    assert await line.told(elsewhere) == []
    await line.play(ringing, r.NO_ANSWER)
    assert await line.told(ringing.call_id) == ["initiated", "failed no_answer"]
    assert (await line.last(ringing.call_id))["is_final"] is True


async def test_a_suppressed_contact_is_stopped_at_every_phone(line: Line) -> None:
    retried = await line.talk(contact=0, phone=0, retry=RETRY)
    await line.play(retried, r.BUSY)
    other_phone = await line.accept(contact=0, phone=1)
    other_contact = await line.accept(contact=1, phone=2)
    _, under_way = await suppress(line, contact_id=line.contact(0))
    assert under_way == []
    assert await line.told(retried.call_id) == ["initiated", "failed busy", "failed suppressed"]
    assert await line.told(other_phone) == ["failed suppressed"]
    assert await line.told(other_contact) == []


async def test_a_lifted_suppression_leaves_what_it_ended_and_lets_new_calls_in(line: Line) -> None:
    ended = await line.accept()
    suppression_id, _ = await suppress(line, phone=line.phone())
    assert (await line.call(await line.accept()))["status"] == "failed"
    assert await lift_suppression(line.store, line.clock, suppression_id, "asked back")
    assert not await lift_suppression(line.store, line.clock, suppression_id, "asked back")
    assert (await line.call(ended))["final"] is True
    assert (await line.call(await line.accept()))["final"] is False


async def test_suppressions_of_one_person_from_two_sides_do_not_block_each_other(line: Line) -> None:
    for phone in range(4):
        await line.accept(contact=0, phone=phone)
    sides = [suppress(line, contact_id=line.contact(0)), *(suppress(line, phone=line.phone(n)) for n in range(4))]
    await asyncio.gather(*sides)
    told = await line.all(
        "SELECT count(*) FROM outbox WHERE kind = 'abt_event' AND call_id LIKE $1", f"{line.person:05d}-%"
    )
    assert told[0]["count"] == 4


async def opt_out_rows(line: Line) -> list[tuple[str, str, str, str]]:
    rows = await line.all("SELECT * FROM suppressions WHERE contact_id = $1", line.contact())
    return [(row["phone"], row["contact_id"], row["reason"], row["source"]) for row in rows]


@pytest.mark.parametrize("event", ["call_ended", "call_analyzed"])
async def test_an_opt_out_suppresses_with_the_first_webhook_that_says_so(line: Line, event: str) -> None:
    talk = await line.talk(retry=RETRY)
    same_phone = await line.accept(contact=1, phone=0)
    same_contact = await line.accept(contact=0, phone=1)
    line.clock.advance(900)
    await line.play(talk, r.OPT_OUT, "call_started", event)
    assert await opt_out_rows(line) == [(line.phone(), line.contact(), "opt_out", "provider")]
    for call_id in (same_phone, same_contact):
        data = await line.last(call_id)
        assert closing(data) == closed_by("suppressed")
        assert data["occurred_at"] == "2026-12-01T17:01:29.500Z"  # when the person said so
    await line.play(talk, r.OPT_OUT)
    assert len(await opt_out_rows(line)) == 1
    assert (await line.told(talk.call_id))[-1] == "partially_completed"
    assert (await line.last(talk.call_id))["is_final"] is True
    assert (await line.attempt(talk.call_id))["business"] == {"opt_out": True, "goal_met": False}


async def test_an_opt_out_takes_the_callback_that_was_promised_before_it(line: Line) -> None:
    talk = await line.talk()
    await callback(line, talk, from_attempt=True)
    await line.play(talk, r.OPT_OUT)
    assert not await line.has_open_task(talk.call_id)
    assert (await line.told(talk.call_id))[-1] == "partially_completed"
    assert (await line.last(talk.call_id))["is_final"] is True


async def test_an_opt_out_reaches_beyond_the_phone_that_was_suppressed_already(line: Line) -> None:
    talk = await line.talk()
    await suppress(line, phone=line.phone())
    same_contact = await line.accept(contact=0, phone=1)
    await line.play(talk, r.OPT_OUT)
    assert await line.told(same_contact) == ["failed suppressed"]


async def test_an_opt_out_in_a_waiting_attempt_is_kept_and_ends_the_call_once(line: Line) -> None:
    line.provider.answer = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
    talk = await line.talk()
    await line.play(talk, r.OPT_OUT, "call_analyzed")
    assert await line.told(talk.call_id) == ["initiated", "started", "partially_completed"]
    assert (await line.last(talk.call_id))["is_final"] is True
    assert await opt_out_rows(line) == [(line.phone(), line.contact(), "opt_out", "provider")]
