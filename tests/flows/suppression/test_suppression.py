"""Suppress a person, lift a suppression, opt out: every open call ends once, and nothing follows."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.flows.suppression import Suppressed, SuppressionOrder, lift_suppression, suppress_now
from tests.audit_log import TESTER
from tests.flows.call_outcome.test_retries import callback
from tests.flows.ending_calls.test_cancelling import RETRY, closed_by, closing
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack


async def suppress(stack: EventStack, **given: str) -> Suppressed:
    named = {"phone": None, "contact_id": None, **given}
    return await suppress_now(
        stack.store, stack.clock, stack.new_id, SuppressionOrder(reason="asked", **named, actor=TESTER)
    )  # type: ignore[arg-type]


async def test_a_suppressed_phone_ends_all_its_calls_and_lists_the_attempts_in_progress(stack: EventStack) -> None:
    ringing = await stack.talk(contact=0, phone=0, retry=RETRY)
    pending = await stack.accept(contact=1, phone=0, not_before=stack.clock.now() + timedelta(hours=1))
    elsewhere = await stack.accept(contact=0, phone=2)
    _, possibly_ringing, _ = await suppress(stack, phone=stack.phone(0))
    assert possibly_ringing == [ringing.attempt_id]
    assert closing(await stack.last(pending)) == closed_by("suppressed")
    assert (await stack.call(pending))["status"] == "failed"
    assert await stack.told(elsewhere) == []
    await stack.play(ringing, r.NO_ANSWER)
    assert await stack.told(ringing.call_id) == ["initiated", "failed no_answer"]
    assert (await stack.last(ringing.call_id))["is_final"] is True


async def test_a_suppressed_contact_is_stopped_at_every_phone(stack: EventStack) -> None:
    retried = await stack.talk(contact=0, phone=0, retry=RETRY)
    await stack.play(retried, r.BUSY)
    other_phone = await stack.accept(contact=0, phone=1)
    other_contact = await stack.accept(contact=1, phone=2)
    _, possibly_ringing, _ = await suppress(stack, contact_id=stack.contact(0))
    assert possibly_ringing == []
    assert await stack.told(retried.call_id) == ["initiated", "failed busy", "failed suppressed"]
    assert await stack.told(other_phone) == ["failed suppressed"]
    assert await stack.told(other_contact) == []


async def test_a_lifted_suppression_leaves_what_it_ended_and_lets_new_calls_in(stack: EventStack) -> None:
    ended = await stack.accept()
    suppression_id, *_ = await suppress(stack, phone=stack.phone())
    assert (await stack.call(await stack.accept()))["status"] == "failed"
    assert await lift_suppression(stack.store, stack.clock, suppression_id, "asked back", TESTER)
    assert not await lift_suppression(stack.store, stack.clock, suppression_id, "asked back", TESTER)
    assert (await stack.call(ended))["final"] is True
    assert (await stack.call(await stack.accept()))["final"] is False


async def test_a_repeated_suppression_is_the_one_in_force(stack: EventStack) -> None:
    phone, contact_id = stack.phone(), stack.contact()
    count_added = "SELECT count(*) FROM audit WHERE action = 'suppression.added'"
    before = await stack.pool.fetchval(count_added)
    first = await suppress(stack, phone=phone)
    assert await suppress(stack, phone=phone) == Suppressed(first.suppression_id, [], is_new=False)
    both = await suppress(stack, phone=phone, contact_id=contact_id)
    assert both.is_new, "the contact was not suppressed"
    assert (await suppress(stack, contact_id=contact_id)).suppression_id == both.suppression_id
    assert await lift_suppression(stack.store, stack.clock, both.suppression_id, "asked back", TESTER)
    assert await lift_suppression(stack.store, stack.clock, first.suppression_id, "asked back", TESTER)
    assert (await stack.call(await stack.accept()))["final"] is False
    assert await stack.pool.fetchval(count_added) == before + 2


async def test_suppressions_of_one_person_from_two_sides_do_not_block_each_other(stack: EventStack) -> None:
    for phone in range(4):
        await stack.accept(contact=0, phone=phone)
    sides = [suppress(stack, contact_id=stack.contact(0)), *(suppress(stack, phone=stack.phone(n)) for n in range(4))]
    await asyncio.gather(*sides)
    told = await stack.all(
        "SELECT count(*) FROM outbox WHERE kind = 'abt_event' AND call_id LIKE $1", f"{stack.person:05d}-%"
    )
    assert told[0]["count"] == 4


async def opt_out_rows(stack: EventStack) -> list[tuple[str, str, str, str]]:
    rows = await stack.all("SELECT * FROM suppressions WHERE contact_id = $1", stack.contact())
    return [(row["phone"], row["contact_id"], row["reason"], row["source"]) for row in rows]


@pytest.mark.parametrize("event", ["call_ended", "call_analyzed"])
async def test_an_opt_out_suppresses_with_the_first_webhook_that_says_so(stack: EventStack, event: str) -> None:
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


async def test_an_opt_out_takes_the_callback_that_was_promised_before_it(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.OPT_OUT)
    assert not await stack.has_open_task(talk.call_id)
    assert (await stack.told(talk.call_id))[-1] == "partially_completed"
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_an_opt_out_reaches_beyond_the_phone_that_was_suppressed_already(stack: EventStack) -> None:
    talk = await stack.talk()
    await suppress(stack, phone=stack.phone())
    same_contact = await stack.accept(contact=0, phone=1)
    await stack.play(talk, r.OPT_OUT)
    assert await stack.told(same_contact) == ["failed suppressed"]


async def test_an_opt_out_in_a_waiting_attempt_is_kept_and_ends_the_call_once(stack: EventStack) -> None:
    stack.provider.answer = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
    talk = await stack.talk()
    await stack.play(talk, r.OPT_OUT, "call_analyzed")
    assert await stack.told(talk.call_id) == ["initiated", "started", "partially_completed"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert await opt_out_rows(stack) == [(stack.phone(), stack.contact(), "opt_out", "provider")]
