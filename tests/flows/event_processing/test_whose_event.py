"""Events of other installations, of no call, of calls not known yet, and of a second call for one attempt."""

import json

import pytest

from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.errors import Permanent, Retryable
from ringback.flows.event_processing import PARKED_TRIES

from . import recordings as r
from .conftest import EventStack, Talk


async def inbox(stack: EventStack, provider_call_id: str) -> list[tuple[str, str]]:
    query = "SELECT event, fate FROM provider_events WHERE provider_call_id = $1 ORDER BY received_at, event"
    return [(row["event"], row["fate"]) for row in await stack.all(query, provider_call_id)]


async def test_a_call_of_another_instance_is_written_down_counted_and_never_touched(stack: EventStack) -> None:
    talk = await stack.talk()
    foreign = talk.marks | {"ringback_instance": "another-installation"}
    name = f"call_foreign_{stack.person}"
    await stack.hear(r.play(r.COMPLETED, "call_analyzed", name, foreign))
    assert await inbox(stack, name) == [("call_analyzed", "foreign")]
    assert await stack.told(talk.call_id) == ["initiated"]
    assert (stack.counts.foreign, stack.counts.applied) == (1, 0)


async def test_a_database_restored_under_another_instance_keeps_off_the_calls_of_the_first(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.hear(
        r.play(r.COMPLETED, "call_started", talk.provider_call_id, talk.marks | {"ringback_instance": "old"})
    )
    assert await inbox(stack, talk.provider_call_id) == [("call_started", "foreign")]
    assert await stack.told(talk.call_id) == ["initiated"]


async def test_a_call_without_our_marks_is_foreign_even_with_other_metadata(stack: EventStack) -> None:
    for number, metadata in enumerate((None, {}, {"campaign": "theirs"})):
        name = f"call_unmarked_{stack.person}_{number}"
        await stack.hear(r.play(r.COMPLETED, "call_started", name, metadata))
        assert await inbox(stack, name) == [("call_started", "foreign")]
    assert stack.counts.foreign == 3


async def test_a_known_call_needs_no_marks(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.hear(r.play(r.COMPLETED, "call_started", talk.provider_call_id, None))
    assert await stack.told(talk.call_id) == ["initiated", "started"]


async def test_an_inbound_call_is_written_down_and_tells_nothing(stack: EventStack) -> None:
    talk = await stack.talk()
    name = f"call_inbound_{stack.person}"
    for event in r.COMPLETED:
        await stack.hear(r.play(r.COMPLETED, event, name, talk.marks, direction="inbound"))
    assert [handling for _, handling in await inbox(stack, name)] == ["inbound"] * 3
    assert await stack.told(talk.call_id) == ["initiated"]
    assert stack.counts.foreign == 0


async def test_an_event_of_ours_without_its_attempt_is_parked_and_then_foreign(stack: EventStack) -> None:
    lost = Talk("no-call", f"no-attempt-{stack.person}", f"call_lost_{stack.person}")
    for receive_count in range(1, PARKED_TRIES + 1):
        with pytest.raises(Retryable):
            await stack.hear(r.play(r.COMPLETED, "call_ended", lost.provider_call_id, lost.marks), receive_count)
    assert await inbox(stack, lost.provider_call_id) == []
    await stack.hear(r.play(r.COMPLETED, "call_ended", lost.provider_call_id, lost.marks), PARKED_TRIES + 1)
    assert await inbox(stack, lost.provider_call_id) == [("call_ended", "foreign")]
    assert stack.counts.foreign == 1


@pytest.mark.parametrize("event", ["chat_started", "chat_ended", "chat_analyzed", "agent_published"])
async def test_an_event_of_no_call_is_written_down_and_acknowledged(stack: EventStack, event: str) -> None:
    body = json.dumps({"event": event, "chat": {"chat_id": f"chat_{stack.person}", "chat_status": "ended"}})
    await stack.hear(body)
    await stack.hear(body)
    assert stack.counts.unhandled == 2
    rows = await stack.all("SELECT fate FROM provider_events WHERE event = $1 AND body = $2", event, body)
    assert [row["fate"] for row in rows] == ["unhandled"]


@pytest.mark.parametrize("body", ["{}", "[]", '{"event": "call_ended"}', '{"event": "call_ended", "call": {}}'])
async def test_a_call_event_without_its_call_can_never_succeed(stack: EventStack, body: str) -> None:
    with pytest.raises(Permanent):
        await stack.hear(body)


async def test_an_unknown_event_of_a_call_is_kept_and_decides_nothing(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, {"transfer_bridged": r.COMPLETED["call_analyzed"]})
    assert await inbox(stack, talk.provider_call_id) == [("transfer_bridged", "applied")]
    assert await stack.told(talk.call_id) == ["initiated"]
    assert (await stack.attempt(talk.call_id))["state"] == "placed"


async def test_an_unknown_event_is_evidence_that_the_call_was_placed(stack: EventStack) -> None:
    stack.provider.answer = DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
    talk = await stack.talk()
    assert (await stack.call(talk.call_id))["status"] == "unknown"
    await stack.play(talk, {"transcript_updated": r.COMPLETED["call_started"]})
    assert await stack.told(talk.call_id) == ["initiated"]
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["holds_slot"], attempt["lease_until"]) == ("placed", True, None)
    assert attempt["next_check_at"] > stack.clock.now()
    assert (await stack.call(talk.call_id))["status"] == "dialing"


async def test_the_same_content_is_one_row_whatever_its_time_of_delivery(stack: EventStack) -> None:
    talk = await stack.talk()
    body = json.loads(r.play(r.COMPLETED, "call_ended", talk.provider_call_id, talk.marks))
    for moment in (1, 2, None):
        await stack.hear(json.dumps(body | {"event_timestamp": moment} if moment else dict(reversed(body.items()))))
    body.pop("event_timestamp")
    await stack.hear(json.dumps(body))
    assert len(await inbox(stack, talk.provider_call_id)) == 1
    assert (stack.counts.applied, stack.counts.repeated) == (1, 3)


async def second_call(stack: EventStack, talk: Talk, recording: dict[str, r.Body], *events: str) -> str:
    name = f"{talk.provider_call_id}_b"
    for event in events:
        await stack.hear(r.play(recording, event, name, talk.marks))
    return name


async def test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped_once(stack: EventStack) -> None:
    talk = await stack.talk()
    name = await second_call(stack, talk, r.COMPLETED, *r.COMPLETED)
    stops = await stack.all(
        "SELECT message_id, payload FROM outbox WHERE kind = 'stop_call' AND call_id = $1", talk.call_id
    )
    assert [(row["message_id"], row["payload"]["provider_call_id"]) for row in stops] == [(f"stop:{name}", name)]
    decisions = await stack.all(
        "SELECT detail FROM gate_decisions WHERE call_id = $1 AND kind = 'incident_second_provider_call'", talk.call_id
    )
    assert {row["detail"]["stopped"] for row in decisions} == {name}
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["provider_call_id"], attempt["state"]) == (talk.provider_call_id, "placed")
    assert await stack.told(talk.call_id) == ["initiated"]
    await stack.play(talk, r.NO_ANSWER)
    assert await stack.told(talk.call_id) == ["initiated", "failed no_answer"]


async def test_what_a_person_said_in_the_second_call_holds(stack: EventStack) -> None:
    talk = await stack.talk()
    other = await stack.accept(contact=0, phone=1)
    await second_call(stack, talk, r.OPT_OUT, "call_ended")
    assert await stack.told(other) == ["failed suppressed"]
    rows = await stack.all("SELECT reason FROM suppressions WHERE phone = $1", stack.phone())
    assert [row["reason"] for row in rows] == ["opt_out"]
    await stack.play(talk, r.PARTIAL)
    assert (await stack.last(talk.call_id))["is_final"] is True


async def test_a_webhook_too_large_for_the_queue_leads_to_a_look_up_at_once(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.hear(None, provider_call_id=talk.provider_call_id, event="call_analyzed")
    assert (await stack.attempt(talk.call_id))["next_check_at"] == stack.clock.now()
    assert await inbox(stack, talk.provider_call_id) == [("call_analyzed", "unhandled")]
    stack.record(talk, r.COMPLETED, "call_analyzed")
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "started", "completed"]
    await stack.hear(None, provider_call_id=talk.provider_call_id, event="call_analyzed")
    assert (await stack.attempt(talk.call_id))["next_check_at"] is None


async def test_a_large_webhook_of_an_unknown_call_is_parked_and_then_foreign(stack: EventStack) -> None:
    name = f"call_large_{stack.person}"
    with pytest.raises(Retryable):
        await stack.hear(None, provider_call_id=name, event="call_ended")
    await stack.hear(None, PARKED_TRIES + 1, provider_call_id=name, event="call_ended")
    assert await inbox(stack, name) == [("call_ended", "foreign")]
    with pytest.raises(Permanent):
        await stack.hear(None)
