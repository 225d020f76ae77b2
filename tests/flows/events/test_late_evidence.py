"""Evidence beats every answer: of calls that waited, were refused, were given up, or whose answer never came."""

import asyncio

import pytest

from ringback.domain.call import RetryPolicy
from ringback.domain.dial import DialAnswer, DialAnswerKind
from ringback.messages import CallRequested

from . import recordings as r
from .conftest import Line, Talk

WAIT = DialAnswer(DialAnswerKind.DEFERRED, "http_429")
UNCLEAR = DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
REFUSED = DialAnswer(DialAnswerKind.REFUSED, "http_422")


async def abandoned(line: Line, **given: object) -> Talk:
    line.provider.answer = UNCLEAR
    talk = await line.talk(**given)
    for seconds in (6, 30):
        line.clock.advance(seconds)
        await line.watchdog.look_after_attempts()
    assert (await line.call(talk.call_id))["status"] == "abandoned"
    return talk


async def test_a_webhook_that_names_the_attempt_binds_it_however_often_it_came(line: Line) -> None:
    line.provider.answer = UNCLEAR
    talk = await line.talk()
    started = r.play(r.COMPLETED, "call_started", talk.provider_call_id, talk.marks)
    await line.hear(started, receive_count=9)
    attempt = await line.attempt(talk.call_id)
    assert (attempt["attempt_id"], attempt["provider_call_id"]) == (talk.attempt_id, talk.provider_call_id)
    assert await line.told(talk.call_id) == ["initiated", "started"]
    assert line.counts.foreign == 0


async def test_evidence_for_a_waiting_attempt_consumes_its_task(line: Line) -> None:
    line.provider.answer = WAIT
    talk = await line.talk()
    task = await line.open_task(talk.call_id)
    await line.play(talk, r.COMPLETED, "call_started")
    assert not await line.has_open_task(talk.call_id)
    attempt = await line.attempt(talk.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("ongoing", True, True)
    line.clock.advance(120)
    await line.store.release_due(line.clock.now(), 10_000, 10_000)
    for dispatch in range(4):
        await line.processing.place_call(CallRequested(talk.call_id, task["task_id"], dispatch))
    assert line.provider.dialed == [talk.attempt_id]
    await line.play(talk, r.COMPLETED)
    assert await line.told(talk.call_id) == ["initiated", "started", "completed"]


async def test_evidence_for_a_waiting_attempt_beats_the_dispatch_that_is_on_its_way(line: Line) -> None:
    line.provider.answer = WAIT
    talk = await line.talk()
    line.clock.advance(120)
    await line.store.release_due(line.clock.now(), 10_000, 10_000)
    task = await line.open_task(talk.call_id)
    await line.play(talk, r.NO_ANSWER, "call_ended")
    await line.processing.place_call(CallRequested(talk.call_id, task["task_id"], task["dispatch"]))
    assert line.provider.dialed == [talk.attempt_id]


async def test_evidence_resolves_an_unknown_attempt(line: Line) -> None:
    line.provider.answer = UNCLEAR
    talk = await line.talk()
    assert await line.told(talk.call_id) == []
    line.clock.advance(3)
    await line.play(talk, r.COMPLETED)
    assert await line.told(talk.call_id) == ["initiated", "started", "completed"]
    attempt = await line.attempt(talk.call_id)
    assert attempt["placed_at"] == attempt["sent_at"]
    assert (attempt["next_check_at"], attempt["holds_person"]) == (None, False)


async def test_evidence_of_a_refused_call_corrects_the_refusal(line: Line) -> None:
    line.provider.answer = REFUSED
    talk = await line.talk()
    (refused,) = await line.events(talk.call_id)
    assert (refused["data"]["reason"], refused["data"]["attempted"], refused["data"]["is_final"]) == (
        "refused",
        False,
        True,
    )
    await line.play(talk, r.COMPLETED, "call_started")
    attempt = await line.attempt(talk.call_id)
    assert (attempt["state"], attempt["disconnection_reason"]) == ("ongoing", None)
    assert (attempt["holds_person"], attempt["holds_slot"]) == (True, True)
    assert attempt["next_check_at"] is not None
    await line.play(talk, r.COMPLETED)
    completed = (await line.events(talk.call_id))[-1]
    assert await line.told(talk.call_id) == ["failed refused", "initiated", "started", "completed"]
    assert (completed["data"]["corrects"], completed["data"]["is_final"]) == (refused["id"], True)
    call = await line.call(talk.call_id)
    assert (call["status"], call["closing_event_id"]) == ("completed", completed["id"])
    assert (await line.attempt(talk.call_id))["holds_person"] is False


async def test_evidence_of_an_abandoned_call_advances_it_and_its_end_corrects(line: Line) -> None:
    talk = await abandoned(line)
    (given_up,) = await line.events(talk.call_id)
    assert (given_up["data"]["reason"], given_up["data"]["attempted"], given_up["data"]["is_final"]) == (
        "outcome_unknown",
        None,
        True,
    )
    await line.play(talk, r.PARTIAL, "call_started", "call_ended")
    attempt = await line.attempt(talk.call_id)
    assert (attempt["state"], attempt["next_check_at"] is not None) == ("ended", True)
    await line.play(talk, r.PARTIAL, "call_analyzed")
    last = (await line.events(talk.call_id))[-1]
    assert await line.told(talk.call_id) == ["failed outcome_unknown", "initiated", "started", "partially_completed"]
    assert (last["data"]["corrects"], last["data"]["revision"]) == (given_up["id"], 1)
    assert (await line.call(talk.call_id))["status"] == "partially_completed"


async def test_evidence_of_an_abandoned_call_never_makes_a_retry(line: Line) -> None:
    talk = await abandoned(line, retry=RetryPolicy(5))
    await line.play(talk, r.NO_ANSWER)
    data = await line.last(talk.call_id)
    assert (data["reason"], data["will_retry"], data["is_final"], data["revision"]) == ("no_answer", False, True, 1)
    assert not await line.has_open_task(talk.call_id)


async def test_an_abandoned_call_that_comes_back_does_not_take_the_person_from_another(line: Line) -> None:
    talk = await abandoned(line)
    line.provider.answer = None
    other = await line.talk()
    await line.play(talk, r.COMPLETED, "call_started")
    assert (await line.attempt(talk.call_id))["holds_person"] is False
    assert (await line.attempt(other.call_id))["holds_person"] is True
    await line.play(talk, r.COMPLETED)
    await line.play(other, r.COMPLETED)
    assert (await line.told(talk.call_id))[-1] == (await line.told(other.call_id))[-1] == "completed"


@pytest.mark.parametrize("answer", [WAIT, UNCLEAR, REFUSED, None])
async def test_a_webhook_before_any_answer_binds_the_attempt_and_no_answer_undoes_it(
    line: Line, answer: DialAnswer | None
) -> None:
    call_id = await line.accept()

    async def while_dialing(request: object, provider_call_id: str) -> None:
        talk = Talk(call_id, request.idempotency_key, provider_call_id)  # type: ignore[attr-defined]
        await line.play(talk, r.COMPLETED, "call_started")

    line.provider.answer, line.provider.during_dial = answer, while_dialing
    talk = await line.dial(call_id)
    attempt = await line.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("ongoing", talk.provider_call_id)
    await line.play(talk, r.COMPLETED)
    assert await line.told(call_id) == ["initiated", "started", "completed"]
    assert len(line.provider.dialed) == 1


async def test_two_webhooks_at_once_are_applied_one_after_the_other(line: Line) -> None:
    talk = await line.talk()
    bodies = [r.play(r.COMPLETED, event, talk.provider_call_id, talk.marks) for event in r.COMPLETED]
    await asyncio.gather(*(line.hear(body) for body in bodies * 3))
    assert await line.told(talk.call_id) == ["initiated", "started", "completed"]
    assert [event["data"]["sequence"] for event in await line.events(talk.call_id)] == [1, 2, 3]
    assert (line.counts.applied, line.counts.repeated) == (3, 6)


async def lost(line: Line) -> Talk:
    talk = await line.talk()
    line.clock.advance(86400)
    await line.watchdog.look_after_attempts()
    assert await line.told(talk.call_id) == ["initiated", "failed provider_lost"]
    return talk


async def test_a_call_that_the_provider_had_lost_is_corrected_when_it_turns_up(line: Line) -> None:
    talk = await lost(line)
    await line.play(talk, r.COMPLETED, "call_started", "call_ended")
    attempt = await line.attempt(talk.call_id)
    assert (attempt["state"], attempt["next_check_at"] is not None) == ("ended", True)
    await line.play(talk, r.COMPLETED, "call_analyzed")
    assert await line.told(talk.call_id) == ["initiated", "failed provider_lost", "started", "completed"]
    assert (await line.last(talk.call_id))["revision"] == 1
    assert (await line.call(talk.call_id))["status"] == "completed"


async def test_a_call_that_is_lost_twice_is_told_once(line: Line) -> None:
    talk = await lost(line)
    await line.play(talk, {"transcript_updated": r.COMPLETED["call_started"]})
    line.clock.advance(86400)
    await line.watchdog.look_after_attempts()
    assert await line.told(talk.call_id) == ["initiated", "failed provider_lost"]
