"""Evidence beats every answer: of calls that waited, were refused, were given up, or whose answer never came."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy
from ringback.messages import CallRequested

from . import recordings as r
from .conftest import EventStack, Talk

WAIT = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
UNCLEAR = DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
REFUSED = DialAnswer(DialAnswerKind.REJECTED, "http_422")


async def abandoned(stack: EventStack, **given: object) -> Talk:
    stack.provider.answer = UNCLEAR
    talk = await stack.talk(**given)
    for seconds in (6, 30):
        stack.clock.advance(seconds)
        await stack.watchdog.reconcile_due_attempts()
    assert (await stack.call(talk.call_id))["status"] == "abandoned"
    return talk


async def test_a_webhook_that_names_the_attempt_binds_it_however_often_it_came(stack: EventStack) -> None:
    stack.provider.answer = UNCLEAR
    talk = await stack.talk()
    started = r.play(r.COMPLETED, "call_started", talk.provider_call_id, talk.marks)
    await stack.hear(started, receive_count=9)
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["attempt_id"], attempt["provider_call_id"]) == (talk.attempt_id, talk.provider_call_id)
    assert await stack.told(talk.call_id) == ["initiated", "started"]
    assert stack.counts.foreign == 0


async def test_evidence_for_a_waiting_attempt_consumes_its_task(stack: EventStack) -> None:
    stack.provider.answer = WAIT
    talk = await stack.talk()
    task = await stack.open_task(talk.call_id)
    await stack.play(talk, r.COMPLETED, "call_started")
    assert not await stack.has_open_task(talk.call_id)
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("ongoing", True, True)
    stack.clock.advance(120)
    await stack.store.release_due(stack.clock.now(), 10_000, 10_000)
    for dispatch in range(4):
        await stack.processing.place_call(CallRequested(talk.call_id, task["task_id"], dispatch))
    assert stack.provider.dialed == [talk.attempt_id]
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]


async def test_evidence_for_a_waiting_attempt_beats_the_dispatch_that_is_on_its_way(stack: EventStack) -> None:
    stack.provider.answer = WAIT
    talk = await stack.talk()
    stack.clock.advance(120)
    await stack.store.release_due(stack.clock.now(), 10_000, 10_000)
    task = await stack.open_task(talk.call_id)
    await stack.play(talk, r.NO_ANSWER, "call_ended")
    await stack.processing.place_call(CallRequested(talk.call_id, task["task_id"], task["dispatch"]))
    assert stack.provider.dialed == [talk.attempt_id]


async def test_evidence_resolves_an_unknown_attempt(stack: EventStack) -> None:
    stack.provider.answer = UNCLEAR
    talk = await stack.talk()
    assert await stack.told(talk.call_id) == []
    stack.clock.advance(3)
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    attempt = await stack.attempt(talk.call_id)
    assert attempt["placed_at"] == attempt["sent_at"]
    assert (attempt["next_check_at"], attempt["holds_person"]) == (None, False)


async def test_evidence_of_a_refused_call_corrects_the_refusal(stack: EventStack) -> None:
    stack.provider.answer = REFUSED
    talk = await stack.talk()
    (refused,) = await stack.events(talk.call_id)
    assert (refused["data"]["reason"], refused["data"]["attempted"], refused["data"]["is_final"]) == (
        "refused",
        False,
        True,
    )
    await stack.play(talk, r.COMPLETED, "call_started")
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["disconnection_reason"]) == ("ongoing", None)
    assert (attempt["holds_person"], attempt["holds_slot"]) == (True, True)
    assert attempt["next_check_at"] is not None
    await stack.play(talk, r.COMPLETED)
    completed = (await stack.events(talk.call_id))[-1]
    assert await stack.told(talk.call_id) == ["failed refused", "initiated", "started", "completed"]
    assert (completed["data"]["corrects"], completed["data"]["is_final"]) == (refused["id"], True)
    call = await stack.call(talk.call_id)
    assert (call["status"], call["closing_event_id"]) == ("completed", completed["id"])
    assert (await stack.attempt(talk.call_id))["holds_person"] is False


async def test_evidence_of_an_abandoned_call_advances_it_and_its_end_corrects(stack: EventStack) -> None:
    talk = await abandoned(stack)
    (given_up,) = await stack.events(talk.call_id)
    assert (given_up["data"]["reason"], given_up["data"]["attempted"], given_up["data"]["is_final"]) == (
        "outcome_unknown",
        None,
        True,
    )
    await stack.play(talk, r.PARTIAL, "call_started", "call_ended")
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["next_check_at"] is not None) == ("ended", True)
    await stack.play(talk, r.PARTIAL, "call_analyzed")
    last = (await stack.events(talk.call_id))[-1]
    assert await stack.told(talk.call_id) == ["failed outcome_unknown", "initiated", "started", "partially_completed"]
    assert (last["data"]["corrects"], last["data"]["revision"]) == (given_up["id"], 1)
    assert (await stack.call(talk.call_id))["status"] == "partially_completed"


async def test_evidence_of_an_abandoned_call_never_makes_a_retry(stack: EventStack) -> None:
    talk = await abandoned(stack, retry=RetryPolicy(5))
    await stack.play(talk, r.NO_ANSWER)
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["will_retry"], data["is_final"], data["revision"]) == ("no_answer", False, True, 1)
    assert not await stack.has_open_task(talk.call_id)


async def test_an_abandoned_call_that_comes_back_does_not_take_the_person_from_another(stack: EventStack) -> None:
    talk = await abandoned(stack)
    stack.provider.answer = None
    other = await stack.talk()
    await stack.play(talk, r.COMPLETED, "call_started")
    assert (await stack.attempt(talk.call_id))["holds_person"] is False
    assert (await stack.attempt(other.call_id))["holds_person"] is True
    await stack.play(talk, r.COMPLETED)
    await stack.play(other, r.COMPLETED)
    assert (await stack.told(talk.call_id))[-1] == (await stack.told(other.call_id))[-1] == "completed"


@pytest.mark.parametrize("answer", [WAIT, UNCLEAR, REFUSED, None])
async def test_a_webhook_before_any_answer_binds_the_attempt_and_no_answer_undoes_it(
    stack: EventStack, answer: DialAnswer | None
) -> None:
    call_id = await stack.accept()

    async def while_dialing(request: object, provider_call_id: str) -> None:
        talk = Talk(call_id, request.idempotency_key, provider_call_id)  # type: ignore[attr-defined]
        await stack.play(talk, r.COMPLETED, "call_started")

    stack.provider.answer, stack.provider.during_dial = answer, while_dialing
    talk = await stack.dial(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("ongoing", talk.provider_call_id)
    await stack.play(talk, r.COMPLETED)
    assert await stack.told(call_id) == ["initiated", "started", "completed"]
    assert len(stack.provider.dialed) == 1


async def test_two_webhooks_at_once_are_applied_one_after_the_other(stack: EventStack) -> None:
    talk = await stack.talk()
    bodies = [r.play(r.COMPLETED, event, talk.provider_call_id, talk.marks) for event in r.COMPLETED]
    await asyncio.gather(*(stack.hear(body) for body in bodies * 3))
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    assert [event["data"]["sequence"] for event in await stack.events(talk.call_id)] == [1, 2, 3]
    assert (stack.counts.applied, stack.counts.repeated) == (3, 6)


async def lost(stack: EventStack) -> Talk:
    talk = await stack.talk()
    stack.clock.advance(86400)
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "failed provider_lost"]
    return talk


async def test_a_call_that_the_provider_had_lost_is_corrected_when_it_turns_up(stack: EventStack) -> None:
    talk = await lost(stack)
    await stack.play(talk, r.COMPLETED, "call_started", "call_ended")
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["next_check_at"] is not None) == ("ended", True)
    await stack.play(talk, r.COMPLETED, "call_analyzed")
    assert await stack.told(talk.call_id) == ["initiated", "failed provider_lost", "started", "completed"]
    assert (await stack.last(talk.call_id))["revision"] == 1
    assert (await stack.call(talk.call_id))["status"] == "completed"


async def test_a_call_that_is_lost_twice_is_told_once(stack: EventStack) -> None:
    talk = await lost(stack)
    await stack.play(talk, {"transcript_updated": r.COMPLETED["call_started"]})
    stack.clock.advance(86400)
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "failed provider_lost"]


async def test_evidence_that_waited_for_the_call_has_the_time_after_the_wait(stack: EventStack) -> None:
    talk = await stack.talk()
    accepted_at = stack.clock.now()
    async with stack.store.transaction() as tx:
        await tx.lock_call(talk.call_id)
        started = asyncio.create_task(stack.play(talk, r.COMPLETED, "call_started"))
        await asyncio.sleep(0.05)
        stack.clock.advance(10)
    await started
    rows = await stack.all(
        "SELECT payload ->> 'type' AS type, created_at FROM outbox"
        " WHERE call_id = $1 AND kind = 'abt_event' ORDER BY id",
        talk.call_id,
    )
    assert [(row["type"], row["created_at"]) for row in rows] == [
        ("voice_ai_call_initiated", accepted_at),
        ("voice_ai_call_started", accepted_at + timedelta(seconds=10)),
    ]
