"""Retries by rules: each outcome has its own delays, and all share one budget."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from ringback.domain.call import RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.flows.ending_calls import cancel_call
from ringback.flows.suppression import SuppressionOrder, suppress_now
from tests.audit_log import TESTER
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack, Talk

from .test_retries import DIALED_AT, callback

NO_MESSAGE = r.connected("voicemail_reached", r.analysis(False), **r.SILENCE)
RULES = RetryPolicy(8, rules={"no_answer": (3600, 14400), "busy": (600,), "voicemail": (86400,)})


async def delay_after(stack: EventStack, talk: Talk, recording: dict[str, r.Body]) -> float:
    """The seconds from this dial to the next one, which the recorded end of this one plans."""
    dialed_at = stack.clock.now()
    await stack.play(talk, recording)
    due_at = (await stack.open_task(talk.call_id))["due_at"]
    return float((due_at - dialed_at).total_seconds())


async def test_each_outcome_uses_its_own_delays_and_its_last_one_repeats(stack: EventStack) -> None:
    talk, delays = await stack.talk(retry=RULES), []
    for recording in (r.BUSY, r.NO_ANSWER, r.BUSY, r.VOICEMAIL, r.NO_ANSWER, NO_MESSAGE, r.NO_ANSWER):
        delays.append(await delay_after(stack, talk, recording))
        talk = await stack.dial_next(talk.call_id)
    assert delays == [600, 3600, 600, 86400, 14400, 86400, 14400]
    await stack.play(talk, r.BUSY)
    data = await stack.last(talk.call_id)
    assert (data["attempt"], data["will_retry"], data["is_final"]) == (8, False, True)
    finals = [event["data"].get("is_final") for event in await stack.events(talk.call_id)]
    assert finals.count(True) == 1


async def test_a_voicemail_with_and_one_without_a_message_are_one_outcome(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(4, rules={"voicemail": (600, 7200)}))
    assert await delay_after(stack, talk, NO_MESSAGE) == 600
    talk = await stack.dial_next(talk.call_id)
    assert await delay_after(stack, talk, r.VOICEMAIL) == 7200


async def test_a_message_that_was_left_is_told_with_the_time_of_the_next_dial(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(2, rules={"voicemail": (86400,)}))
    await stack.play(talk, r.VOICEMAIL)
    assert await stack.told(talk.call_id) == ["initiated", "started", "left_voicemail"]
    data = await stack.last(talk.call_id)
    assert (data["is_final"], data["next_attempt_at"]) == (False, "2026-12-02T17:00:00.000Z")
    assert (await stack.call(talk.call_id))["status"] == "scheduled"
    talk = await stack.dial_next(talk.call_id)
    await stack.play(talk, r.VOICEMAIL)
    data = await stack.last(talk.call_id)
    assert (data["is_final"], "next_attempt_at" in data) == (True, False)
    assert (await stack.call(talk.call_id))["status"] == "left_voicemail"


@pytest.mark.parametrize("recording", [r.NO_ANSWER, r.DECLINED, r.INVALID, r.BROKEN_DIAL, r.PARTIAL, r.OPT_OUT])
async def test_an_outcome_without_a_rule_is_not_retried(stack: EventStack, recording: dict[str, r.Body]) -> None:
    talk = await stack.talk(retry=RetryPolicy(5, rules={"busy": (600,), "voicemail": (600,)}))
    await stack.play(talk, recording)
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert not await stack.has_open_task(talk.call_id)


async def test_the_first_attempt_uses_the_budget_too(stack: EventStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(1, rules={"busy": (600,)}))
    await stack.play(talk, r.BUSY)
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_an_opt_out_that_a_voicemail_talk_brings_ends_the_call(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.VOICEMAIL, "call_started", "call_ended")
    opted_out = r.connected("user_requested_dnc", r.analysis(False, in_voicemail=True), **r.LEFT_MESSAGE)
    await stack.play(talk, opted_out, "call_analyzed")
    assert (await stack.last(talk.call_id))["is_final"] is True
    assert not await stack.has_open_task(talk.call_id)


async def test_capacity_is_no_occurrence_of_an_outcome(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    assert await delay_after(stack, talk, r.CAPACITY) == 60
    talk = await stack.dial_next(talk.call_id)
    assert await delay_after(stack, talk, r.NO_ANSWER) == 3600


async def test_an_attempt_counts_as_what_its_correction_made_it(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.NO_ANSWER)
    await stack.play(talk, r.BUSY, "call_analyzed")
    talk = await stack.dial_next(talk.call_id)
    assert await delay_after(stack, talk, r.NO_ANSWER) == 3600


async def test_an_analysis_that_finds_a_conversation_takes_the_retry_back(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.VOICEMAIL)
    await stack.play(talk, r.COMPLETED, "call_ended", "call_analyzed")
    told = await stack.told(talk.call_id)
    data = await stack.last(talk.call_id)
    assert told[-2:] == ["left_voicemail", "completed"]
    assert (data["is_final"], data["revision"]) == (True, 1)
    assert not await stack.has_open_task(talk.call_id)


async def test_a_correction_between_two_named_outcomes_keeps_the_promised_time(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.NO_ANSWER)
    await stack.play(talk, r.BUSY, "call_analyzed")
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["next_attempt_at"]) == ("busy", "2026-12-01T18:00:00.000Z")


async def test_a_retry_after_a_voicemail_waits_for_calling_hours(make_line: Callable[..., EventStack]) -> None:
    stack = make_line(calling_hours=CallingHours.parse("mon-sat 09:00-10:00"))
    talk = await stack.talk(retry=RetryPolicy(2, rules={"voicemail": (5400,)}), time_zone="America/Los_Angeles")
    await stack.play(talk, r.VOICEMAIL)
    assert (await stack.last(talk.call_id))["next_attempt_at"] == "2026-12-02T17:00:00.000Z"


async def test_a_retry_after_a_voicemail_is_not_promised_beyond_the_expiry(stack: EventStack) -> None:
    talk = await stack.talk(
        retry=RetryPolicy(2, rules={"voicemail": (3600,)}), expires_at=DIALED_AT + timedelta(hours=1)
    )
    await stack.play(talk, r.VOICEMAIL)
    data = await stack.last(talk.call_id)
    assert (data["is_final"], "next_attempt_at" in data) == (True, False)


async def test_a_callback_takes_the_place_of_a_retry_after_a_voicemail(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await callback(stack, talk, from_attempt=False, hours=2)
    await stack.play(talk, r.VOICEMAIL)
    assert (await stack.last(talk.call_id))["next_attempt_at"] == "2026-12-01T19:00:00.000Z"
    assert (await stack.open_task(talk.call_id))["kind"] == "callback"


async def test_a_promised_retry_after_a_voicemail_that_is_cancelled_ends_with_one_event(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.VOICEMAIL)
    await cancel_call(stack.store, stack.clock, talk.call_id, TESTER)
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["attempt"], data["is_final"]) == ("cancelled", None, True)
    assert not await stack.has_open_task(talk.call_id)


async def test_a_suppression_ends_the_call_before_its_retry_after_a_voicemail(stack: EventStack) -> None:
    talk = await stack.talk(retry=RULES)
    await stack.play(talk, r.VOICEMAIL)
    await suppress_now(
        stack.store,
        stack.clock,
        stack.new_id,
        SuppressionOrder(phone=stack.phone(), contact_id=None, reason="by letter", actor=TESTER),
    )
    data = await stack.last(talk.call_id)
    assert (data["reason"], data["attempted"], data["is_final"]) == ("suppressed", False, True)
    assert not await stack.has_open_task(talk.call_id)


async def test_the_daily_limit_holds_for_a_retry_after_a_voicemail(make_line: Callable[..., EventStack]) -> None:
    stack = make_line(attempts_per_day=1)
    talk = await stack.talk(retry=RetryPolicy(3, rules={"voicemail": (3600,)}))
    await stack.play(talk, r.VOICEMAIL)
    await stack.dial_next(talk.call_id)
    assert len(stack.provider.dialed) == 1
    assert (await stack.open_task(talk.call_id))["due_at"] == DIALED_AT + timedelta(days=1)
