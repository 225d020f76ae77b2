"""Each row of the event table, with its odd cases: webhooks in, the attempt's events out."""

from typing import Any

import pytest

from ringback.domain.attempt import VoicemailAction
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack


async def heard(
    stack: EventStack, recording: dict[str, r.Body], agent: VoicemailAction = VoicemailAction.MESSAGE
) -> str:
    stack.provider.action = agent
    talk = await stack.talk()
    await stack.play(talk, recording)
    return (await stack.told(talk.call_id))[-1]


async def test_the_events_of_a_completed_call_are_these(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    initiated, started, completed = await stack.events(talk.call_id)
    head = {
        "call_id": talk.call_id,
        "contact_id": stack.contact(),
        "attempt": 1,
        "attempt_id": talk.attempt_id,
        "provider_call_id": talk.provider_call_id,
        "metadata": {"campaign": "spring"},
    }
    placed_at, started_at, ended_at = "2026-12-01T17:00:00.000Z", "2026-12-01T17:00:06.500Z", "2026-12-01T17:01:29.500Z"
    assert initiated["data"] == {**head, "sequence": 1, "occurred_at": placed_at, "placed_at": placed_at}
    assert started["data"] == {**head, "sequence": 2, "occurred_at": started_at, "started_at": started_at}
    assert completed["data"] == {
        **head,
        "sequence": 3,
        "occurred_at": ended_at,
        "ended_at": ended_at,
        "duration_ms": 83000,
        "analysis": {
            "successful": True,
            "summary": "A short talk.",
            "sentiment": "Positive",
            "in_voicemail": False,
            "custom": {"Wants a demo?": True},
        },
        "is_final": True,
    }
    assert completed["type"] == "voice_ai_call_completed"
    assert (completed["subject"], completed["source"], completed["time"]) == (talk.call_id, "/ringback", ended_at)
    assert (await stack.call(talk.call_id))["status"] == "completed"


async def test_the_events_of_an_unanswered_call_are_these(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.NO_ANSWER)
    failed = await stack.last(talk.call_id)
    assert {name: failed[name] for name in list(failed)[5:]} == {
        "sequence": 2,
        "occurred_at": "2026-12-01T17:00:00.000Z",
        "metadata": {"campaign": "spring"},
        "reason": "no_answer",
        "provider_reason": "dial_no_answer",
        "attempted": True,
        "will_retry": False,
        "next_attempt_at": None,
        "is_final": True,
    }


async def test_call_ended_decides_nothing_and_frees_the_slot(stack: EventStack) -> None:
    for recording in (r.COMPLETED, r.NO_ANSWER):
        other = EventStack(stack.store, stack.pool, stack.clock)
        talk = await other.talk()
        told = ["initiated", "started"] if recording is r.COMPLETED else ["initiated"]
        await other.play(talk, recording, "call_ended")
        attempt = await other.attempt(talk.call_id)
        assert (attempt["state"], attempt["holds_slot"], attempt["holds_person"]) == ("ended", False, True)
        assert attempt["next_check_at"] is not None
        assert await other.told(talk.call_id) == told
        assert (await other.call(talk.call_id))["status"] == "in_progress"


@pytest.mark.parametrize(
    ("agent", "spoken", "told"),
    [
        (VoicemailAction.MESSAGE, r.LEFT_MESSAGE, "left_voicemail"),
        (VoicemailAction.UNKNOWN, r.LEFT_MESSAGE, "left_voicemail"),
        (VoicemailAction.HANGUP, r.LEFT_MESSAGE, "failed voicemail_no_message"),
        (VoicemailAction.MESSAGE, r.SILENCE, "failed voicemail_no_message"),
        (VoicemailAction.MESSAGE, r.WITHHELD, "failed voicemail_no_message"),
    ],
)
@pytest.mark.parametrize("reason", ["voicemail_reached", "user_hangup"])
async def test_a_message_was_left_only_if_the_agent_spoke_and_does_not_hang_up(
    stack: EventStack, reason: str, agent: VoicemailAction, spoken: r.Body, told: str
) -> None:
    recording = r.connected(reason, r.analysis(False, in_voicemail=True), **spoken)
    assert await heard(stack, recording, agent) == told


CALLER_SPEAKS = {"transcript": "User: Hello?\n", "transcript_object": [{"role": "user", "content": "Hello?"}]}
EMPTY: dict[str, Any] = {"transcript": "", "transcript_object": []}


@pytest.mark.parametrize(
    ("recording", "told"),
    [
        (r.connected("user_hangup", r.analysis(True)), "completed"),
        (r.connected("user_hangup", r.analysis(False)), "partially_completed"),
        (r.connected("user_hangup", r.analysis(None)), "partially_completed"),
        (r.connected("user_hangup", {}), "partially_completed"),
        (r.connected("user_hangup", r.analysis(True), **CALLER_SPEAKS), "completed"),
        (r.connected("user_hangup", r.analysis(True), **EMPTY), "failed answered_no_speech"),
        (r.connected("user_hangup", r.analysis(False), **EMPTY), "failed answered_no_speech"),
        (r.connected("inactivity", r.analysis(False), **r.LEFT_MESSAGE), "failed answered_no_speech"),
        (r.connected("user_hangup", r.analysis(True), **r.WITHHELD), "completed"),
        (r.connected("user_hangup", r.analysis(False), **r.WITHHELD), "partially_completed"),
        (r.connected("user_hangup", r.analysis(True), **r.WITHHELD | EMPTY), "completed"),
        (r.connected("ivr_reached", r.analysis(True)), "failed ivr"),
        (r.connected("ivr_reached", r.analysis(True, in_voicemail=True)), "left_voicemail"),
        (r.connected("voicemail_reached", r.analysis(True)), "left_voicemail"),
    ],
)
async def test_a_talk_needs_a_human_who_spoke_and_is_complete_when_successful(
    stack: EventStack, recording: dict[str, r.Body], told: str
) -> None:
    assert await heard(stack, recording) == told


async def test_a_callback_that_was_asked_for_is_a_fact_of_the_attempt(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.connected("user_requested_callback", r.analysis(False)))
    assert (await stack.attempt(talk.call_id))["business"] == {"callback_asked": True, "goal_met": False}


async def test_an_analysis_that_travels_with_call_ended_is_not_the_analysis(stack: EventStack) -> None:
    talk = await stack.talk()
    ended = {**r.COMPLETED["call_ended"], "call_analysis": r.analysis(False)}
    await stack.play(talk, {"call_ended": ended})
    assert await stack.told(talk.call_id) == ["initiated", "started"]
    await stack.play(talk, r.COMPLETED, "call_analyzed")
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]


async def test_a_start_without_its_time_is_told_once_the_provider_was_asked(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED, "call_started", start_timestamp=None)
    assert await stack.told(talk.call_id) == ["initiated"]
    assert (await stack.call(talk.call_id))["status"] == "in_progress"
    stack.record(talk, r.COMPLETED, "call_started")
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "started"]
    assert (await stack.last(talk.call_id))["started_at"] == "2026-12-01T17:00:06.500Z"


async def test_a_start_without_a_known_time_is_reported_with_the_time_of_the_dial(stack: EventStack) -> None:
    timeless = {name: {**body, "start_timestamp": None} for name, body in r.COMPLETED.items()}
    talk = await stack.talk()
    await stack.play(talk, timeless)
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    assert (await stack.events(talk.call_id))[1]["data"]["started_at"] == "2026-12-01T17:00:00.000Z"


async def test_an_unconnected_call_is_decided_by_asking_when_its_analysis_is_lost(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.NO_ANSWER, "call_ended")
    stack.record(talk, r.NO_ANSWER, "call_ended")
    stack.clock.advance(20)
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer"]
    await stack.play(talk, r.NO_ANSWER)
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer"]
