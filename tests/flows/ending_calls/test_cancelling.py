"""Cancel a call: it ends with one event, or with the verdict of its attempt, and nothing follows."""

from ringback.domain.abt_event import FailReason
from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy
from ringback.flows.ending_calls import cancel_call, end_call
from ringback.flows.suppression import SuppressionOrder, lift_suppression, suppress_now
from tests.audit_log import TESTER
from tests.flows.call_outcome.test_retries import callback
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import Body, EventStack

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


async def cancel(stack: EventStack, call_id: str) -> str | None:
    return await cancel_call(stack.store, stack.clock, call_id, TESTER)


async def test_a_call_cancelled_before_its_dial_ends_with_one_event(stack: EventStack) -> None:
    call_id = await stack.accept()
    assert await cancel(stack, call_id) == "cancelled"
    assert await cancel(stack, call_id) == "cancelled"
    (event,) = await stack.events(call_id)
    assert closing(event["data"]) == closed_by("cancelled")
    assert "provider_call_id" not in event["data"]
    call = await stack.call(call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    assert not await stack.has_open_task(call_id)


async def test_an_unknown_call_cannot_be_cancelled(stack: EventStack) -> None:
    assert await cancel(stack, "no-such-call") is None


async def test_a_promised_retry_that_is_cancelled_is_told_as_the_end_of_the_call(stack: EventStack) -> None:
    talk = await stack.talk(retry=RETRY)
    await stack.play(talk, r.NO_ANSWER)
    assert await cancel(stack, talk.call_id) == "cancelled"
    assert await cancel(stack, talk.call_id) == "cancelled"
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer", "failed cancelled"]
    assert closing(await stack.last(talk.call_id)) == closed_by("cancelled")
    assert (await stack.call(talk.call_id))["status"] == "cancelled"


async def test_a_callback_that_is_deleted_is_told_as_the_end_of_the_call(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.PARTIAL)
    async with stack.store.transaction() as tx:
        call = await tx.lock_call(talk.call_id)
        task, attempt = await tx.tasks.open_for(talk.call_id), await tx.attempts.latest_for(talk.call_id)
        assert call is not None
        assert await end_call(tx, call, task, attempt, FailReason.CANCELLED, stack.clock.now())
    assert await stack.told(talk.call_id) == ["initiated", "started", "failed cancelled"]
    assert closing(await stack.last(talk.call_id)) == closed_by("cancelled")


async def test_cancelling_while_it_rings_lets_the_verdict_end_the_call(stack: EventStack) -> None:
    talk = await stack.talk(retry=RETRY)
    assert await cancel(stack, talk.call_id) == "already_dispatched"
    await stack.play(talk, r.NO_ANSWER)
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert (await stack.call(talk.call_id))["status"] == "cancelled"


async def test_cancelling_while_it_rings_takes_the_callback_too_and_keeps_the_talk(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    assert await cancel(stack, talk.call_id) == "already_dispatched"
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert (await stack.call(talk.call_id))["status"] == "completed"
    assert await cancel(stack, talk.call_id) == "already_dispatched"


async def test_cancelling_a_waiting_attempt_ends_the_call_and_a_late_webhook_corrects(stack: EventStack) -> None:
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


async def test_no_later_stop_replaces_a_cancellation(stack: EventStack) -> None:
    talk = await stack.talk(retry=RETRY)
    assert await cancel(stack, talk.call_id) == "already_dispatched"
    order = SuppressionOrder(phone=stack.phone(), contact_id=None, reason="asked", actor=TESTER)
    suppressed = await suppress_now(stack.store, stack.clock, stack.new_id, order)
    await lift_suppression(stack.store, stack.clock, suppressed.suppression_id, "asked back", TESTER)
    assert (await stack.call(talk.call_id))["no_more_retries"] == "cancelled"
