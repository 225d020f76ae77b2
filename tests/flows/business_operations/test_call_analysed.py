"""Finished analyses in; the verdict of the very path of call_analyzed, or its correction, out."""

import json
from datetime import timedelta

import pytest

from ringback.domain.attempt import DialFact, Party
from ringback.domain.call import RetryPolicy
from ringback.domain.provider_report import EndFacts, ReportKind

MERRY = {"call_summary": "They agreed.", "user_sentiment": "Positive", "call_successful": True, "in_voicemail": False}


async def ended(stack, **given):
    """A conversation with a person that is over and not analysed."""
    talk = await stack.talk(**given)
    now = stack.clock.now()
    await stack.report(
        talk,
        ReportKind.ENDED,
        started_at=now,
        ended_at=now + timedelta(seconds=20),
        duration_ms=20_000,
        disconnection_reason="user_hangup",
        end_facts=EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", True),
        user_turns=2,
        transcript="User: yes",
        agent_spoke=True,
    )
    return talk


def call_object(talk, analysis=MERRY, **fields) -> dict:
    """As Retell's get-call gives it."""
    return {
        "call_id": talk.provider_call_id,
        "call_type": "phone_call",
        "direction": "outbound",
        "call_status": "ended",
        "from_number": "+14155550199",
        "to_number": "+14155550100",
        "metadata": {
            "ringback_call_id": talk.call_id,
            "ringback_attempt_id": talk.attempt_id,
            "ringback_instance": "test-instance",
        },
        "disconnection_reason": "user_hangup",
        "transcript": "Agent: Hello\nUser: Yes",
        "call_analysis": analysis,
        **fields,
    }


async def verdicts(stack, talk) -> list:
    events = await stack.events(talk.call_id)
    return [event for event in events if "is_final" in event["data"]]


async def test_retells_call_object_decides_like_its_webhook(stack):
    talk = await ended(stack)
    reply = await stack.ask("call_analysed", {"call": call_object(talk)})
    assert (reply.ok, reply.code) == (True, "analysis_applied")
    assert reply.result == {"attempt_id": talk.attempt_id, "verdict": "voice_ai_call_completed", "revision": 0}
    (verdict,) = await verdicts(stack, talk)
    assert (verdict["type"], verdict["data"]["analysis"]["summary"]) == ("voice_ai_call_completed", "They agreed.")
    assert (await stack.call(talk.call_id))["status"] == "completed"


async def test_a_repeat_is_a_no_op_under_any_key_and_also_by_webhook(stack):
    talk = await ended(stack)
    await stack.ask("call_analysed", {"call": call_object(talk)})
    before = await stack.rows_written()
    again = await stack.ask("call_analysed", {"call": call_object(talk)})
    assert (again.ok, again.code) == (True, "already_known")
    await stack.webhook({"event": "call_analyzed", "call": call_object(talk), "event_timestamp": 1_796_000_000_000})
    assert await stack.rows_written() == before | {"action_results": before["action_results"] + 1}
    inbox = await stack.all("SELECT * FROM provider_events WHERE event = 'call_analyzed'")
    assert len(inbox) == 1


async def test_what_the_webhook_brought_is_known_already(stack):
    talk = await ended(stack)
    await stack.webhook({"event": "call_analyzed", "call": call_object(talk)})
    assert (await stack.ask("call_analysed", {"call": call_object(talk)})).code == "already_known"


async def test_a_changed_verdict_emits_a_correction(stack):
    talk = await ended(stack)
    await stack.ask("call_analysed", {"call": call_object(talk)})
    another = {"analysis": {"successful": False, "summary": "No deal."}, "source": "acme-qa", "version": "3"}
    reply = await stack.ask("call_analysed", another, call_id=talk.call_id)
    assert reply.result["verdict"] == "voice_ai_call_partially_completed"
    first, correction = await verdicts(stack, talk)
    assert (correction["data"]["corrects"], correction["data"]["revision"]) == (first["id"], 1)
    assert correction["data"]["is_final"]
    attempt = await stack.one("SELECT * FROM attempts")
    assert (attempt["summary"], attempt["analysis_source"]) == ("No deal.", "acme-qa 3")
    assert (await stack.call(talk.call_id))["status"] == "partially_completed"


async def test_another_analyzers_word_alone_decides_and_its_repeat_does_nothing(stack):
    talk = await ended(stack)
    args = {"analysis": {"successful": True, "custom": {"budget": 5}}, "source": "acme-qa"}
    assert (await stack.ask("call_analysed", args, call_id=talk.call_id)).code == "analysis_applied"
    assert (await stack.ask("call_analysed", args, contact_id="crm-42")).code == "not_found", "it is finished"
    assert (await stack.ask("call_analysed", args, call_id=talk.call_id)).code == "already_known"
    (verdict,) = await verdicts(stack, talk)
    assert verdict["data"]["analysis"]["custom"] == {"budget": 5}


async def test_a_correction_creates_no_retry(stack):
    talk = await ended(stack, retry=RetryPolicy(3))
    await stack.ask("call_analysed", {"call": call_object(talk)})
    another = {"analysis": {"in_voicemail": True, "successful": False}, "source": "acme-qa"}
    await stack.ask("call_analysed", another, call_id=talk.call_id)
    assert [task["kind"] for task in await stack.tasks(talk.call_id)] == ["first"]


async def test_an_opt_out_in_the_call_object_counts(stack):
    talk = await ended(stack)
    other = await stack.accept(phone="+14155550101")
    await stack.ask("call_analysed", {"call": call_object(talk, disconnection_reason="user_requested_dnc")})
    assert len(await stack.all("SELECT * FROM suppressions")) == 1
    assert (await stack.call(other))["final"]


async def test_a_call_that_is_none_of_ours_is_not_found(stack):
    talk = await ended(stack)
    foreign = call_object(talk, call_id="call_foreign", metadata={"ringback_instance": "other"})
    assert (await stack.ask("call_analysed", {"call": foreign})).code == "not_found"
    assert (await stack.ask("call_analysed", {"call": call_object(talk)}, call_id="another")).code == "not_found"


async def test_the_marks_of_one_attempt_with_the_call_of_another_touch_neither(stack):
    one, other = await ended(stack), await stack.talk(contact_id="crm-43", phone="+14155550101")
    unbound = await stack.talk(contact_id="crm-44", phone="+14155550102")
    await stack.execute(f"UPDATE attempts SET provider_call_id = NULL WHERE attempt_id = '{unbound.attempt_id}'")
    before = await stack.rows_written(), await stack.all("SELECT * FROM attempts ORDER BY attempt_id")
    claims = [
        call_object(one, call_id=other.provider_call_id),
        call_object(one, call_id=other.provider_call_id, disconnection_reason="user_requested_dnc"),
        call_object(unbound, call_id=other.provider_call_id),
        call_object(one, call_id="call_of_nobody"),
    ]
    for claim in claims:
        reply = await stack.ask("call_analysed", {"call": claim})
        assert (reply.ok, reply.code) == (False, "not_found")
    assert (await stack.ask("call_analysed", {"call": call_object(one)}, contact_id="crm-43")).code == "not_found"
    assert (await stack.rows_written(), await stack.all("SELECT * FROM attempts ORDER BY attempt_id")) == before


async def test_an_analysis_that_is_not_there_decides_nothing(stack):
    talk = await ended(stack)
    for analysis in (None, {}, [], "none"):
        reply = await stack.ask("call_analysed", {"call": call_object(talk, analysis)})
        assert (reply.ok, reply.code) == (False, "not_analysed")
    assert await verdicts(stack, talk) == []


async def test_a_call_that_was_never_placed_has_nothing_to_analyse(stack):
    call_id = await stack.accept()
    args = {"analysis": {"successful": True}, "source": "acme-qa"}
    assert (await stack.ask("call_analysed", args, call_id=call_id)).code == "no_attempt"


@pytest.mark.parametrize(
    ("args", "problems"),
    [
        ({}, ["analysis", "source"]),
        ({"call": {}}, ["call"]),
        ({"call": []}, ["call"]),
        ({"call": {"call_id": ""}}, ["call"]),
        ({"call": {"call_id": "c"}, "source": "x"}, ["source"]),
        ({"analysis": {"successful": True}}, ["source"]),
        ({"analysis": {}, "source": "x"}, ["analysis"]),
        ({"analysis": {"successful": "yes"}, "source": "x"}, ["analysis"]),
        ({"analysis": {"verdict": 1}, "source": "x"}, ["analysis"]),
        ({"analysis": {"summary": "x" * 20_001}, "source": "x"}, ["analysis"]),
        ({"analysis": {"custom": {"much": "x" * 16_384}}, "source": "x"}, ["analysis"]),
        ({"analysis": {"successful": True}, "source": "x"}, ["analysis"]),
        ({"analysis": {"successful": True}, "source": "x", "extra": 1}, ["extra"]),
    ],
)
async def test_what_is_no_analysis_is_refused_with_every_problem(stack_without_database, args, problems):
    reply = await stack_without_database.ask("call_analysed", args)
    assert (reply.code, sorted(reply.result["errors"])) == ("invalid_args", problems)
    assert json.dumps(reply.as_json())
