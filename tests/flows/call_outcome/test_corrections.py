"""A changed verdict is corrected. The correction may cancel a retry and never creates one."""

import pytest

from ringback.domain.call import RetryPolicy
from ringback.flows.ending_calls import cancel_call
from tests.audit_log import TESTER
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack, Talk

from .test_retries import callback


async def analysed_again(stack: EventStack, talk: Talk, recording: dict[str, r.Body]) -> None:
    await stack.play(talk, recording, "call_analyzed")


async def test_a_changed_verdict_is_told_under_its_new_name_with_what_it_corrects(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(True)))
    first, second = (await stack.events(talk.call_id))[2:]
    assert second["type"] == "voice_ai_call_completed"
    assert (second["data"]["corrects"], second["data"]["revision"]) == (first["id"], 1)
    assert (first["data"]["is_final"], second["data"]["is_final"]) == (True, True)
    assert "corrects" not in first["data"]
    assert first["id"] != second["id"]
    call = await stack.call(talk.call_id)
    assert (call["status"], call["closing_event_id"]) == ("completed", second["id"])


async def test_a_correction_is_corrected_in_its_turn(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(True)))
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(False, call_summary="Read once more.")))
    _, second, third = (await stack.events(talk.call_id))[2:]
    assert (third["data"]["corrects"], third["data"]["revision"]) == (second["id"], 2)
    assert third["type"] == "voice_ai_call_partially_completed"
    assert (await stack.call(talk.call_id))["status"] == "partially_completed"


async def test_another_analysis_with_the_same_verdict_tells_nothing_and_is_kept(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(False, call_summary="Read once more.")))
    assert len(await stack.events(talk.call_id)) == 3
    assert (await stack.attempt(talk.call_id))["summary"] == "Read once more."


async def test_a_correction_takes_the_pending_retry_away_and_is_final(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3))
    await stack.play(talk, r.NO_ANSWER)
    await stack.play(talk, r.COMPLETED, "call_analyzed")
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer", "started", "completed"]
    promised, _, last = (await stack.events(talk.call_id))[1:]
    assert (promised["data"]["is_final"], last["data"]["is_final"]) == (False, True)
    assert last["data"]["corrects"] == promised["id"]
    assert not await stack.has_open_task(talk.call_id)
    assert (await stack.call(talk.call_id))["status"] == "completed"


async def test_a_correction_between_two_retried_reasons_keeps_the_retry(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3))
    await stack.play(talk, r.NO_ANSWER)
    await stack.play(talk, r.BUSY)
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["revision"], data["will_retry"], data["is_final"]) == ("busy", 1, True, False)
    assert await stack.has_open_task(talk.call_id)


async def test_a_correction_never_makes_a_retry(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3))
    await stack.play(talk, r.DECLINED)
    await stack.play(talk, r.NO_ANSWER)
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["will_retry"], data["is_final"]) == ("no_answer", False, True)
    assert not await stack.has_open_task(talk.call_id)


async def test_a_correction_of_an_attempt_before_the_last_leaves_the_call_open(stack: EventStack) -> None:
    first = await stack.talk(retry=RetryPolicy(3))
    await stack.play(first, r.NO_ANSWER)
    second = await stack.dial_next(first.call_id)
    await stack.play(first, r.DECLINED)
    data = await stack.last(first.call_id)
    assert (data["reason"], data["attempt"], data["is_final"]) == ("declined", 1, False)
    assert (await stack.call(first.call_id))["status"] == "dialing"
    await stack.play(second, r.COMPLETED)
    finals = [event for event in await stack.events(first.call_id) if event["data"].get("is_final")]
    assert [event["data"]["attempt"] for event in finals] == [2]


async def test_a_correction_of_an_attempt_before_the_last_may_still_end_the_retries(stack: EventStack) -> None:
    first = await stack.talk(retry=RetryPolicy(3))
    await stack.play(first, r.NO_ANSWER)
    second = await stack.dial_next(first.call_id)
    await stack.play(second, r.NO_ANSWER)
    await stack.play(first, r.COMPLETED, "call_analyzed")
    data = await stack.last(first.call_id)
    assert (data["attempt"], data["is_final"]) == (1, True)
    assert not await stack.has_open_task(first.call_id)
    assert (await stack.call(first.call_id))["status"] == "completed"


async def test_a_correction_after_the_call_was_closed_otherwise_is_not_final(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3))
    await stack.play(talk, r.NO_ANSWER)
    assert await cancel_call(stack.store, stack.clock, talk.call_id, TESTER) == "cancelled"
    await stack.play(talk, r.DECLINED)
    events = await stack.events(talk.call_id)
    assert [event["data"].get("is_final") for event in events] == [None, False, True, False]
    assert (await stack.call(talk.call_id))["status"] == "cancelled"


async def test_a_missing_analysis_is_given_up_after_a_day_and_corrected_when_it_comes(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL, "call_started", "call_ended")
    stack.record(talk, r.PARTIAL, "call_ended")
    stack.clock.advance(86400 + 90)
    await stack.watchdog.reconcile_due_attempts()
    given_up = (await stack.events(talk.call_id))[-1]
    assert given_up["type"] == "voice_ai_call_partially_completed"
    assert (given_up["data"]["analysis"], given_up["data"]["is_final"]) == ("missing", True)
    await stack.play(talk, r.PARTIAL, "call_analyzed")
    corrected = (await stack.events(talk.call_id))[-1]
    assert corrected["type"] == "voice_ai_call_partially_completed"
    assert corrected["data"]["corrects"] == given_up["id"]
    assert corrected["data"]["analysis"]["successful"] is False
    await stack.play(talk, r.PARTIAL)
    assert len(await stack.events(talk.call_id)) == 4


async def test_a_callback_survives_a_changed_verdict_and_the_attempt_stays_rescheduled(stack: EventStack) -> None:
    talk = await stack.talk()
    await callback(stack, talk, from_attempt=True)
    await stack.play(talk, r.PARTIAL)
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(False), **r.SILENCE))
    assert await stack.told(talk.call_id) == ["initiated", "started"]
    await analysed_again(stack, talk, r.connected("agent_hangup", r.analysis(True)))
    data = await stack.last(talk.call_id)
    assert (data["revision"], data["is_final"]) == (1, False)
    assert await stack.has_open_task(talk.call_id)


@pytest.mark.parametrize("recording", [r.COMPLETED, r.NO_ANSWER])
async def test_webhooks_after_the_end_change_nothing(stack: EventStack, recording: dict[str, r.Body]) -> None:
    talk = await stack.talk()
    await stack.play(talk, recording)
    before = await stack.events(talk.call_id), await stack.attempt(talk.call_id), await stack.call(talk.call_id)
    stack.clock.advance(3600)
    await stack.play(talk, recording, delivery=2)
    await stack.play(talk, {"transcript_updated": recording["call_ended"]})
    assert (
        await stack.events(talk.call_id),
        await stack.attempt(talk.call_id),
        await stack.call(talk.call_id),
    ) == before
