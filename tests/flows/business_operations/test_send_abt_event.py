"""A registered event in; a CloudEvent in the call's sequence out, and never one of the seven."""

import pytest

from ringback.domain.abt_event import LIFECYCLE_NAMES


async def test_a_registered_event_leaves_in_the_calls_sequence(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "send_abt_event", {"type": "lead_qualified", "data": {"score": 7, "tags": ["a"]}})
    assert (reply.ok, reply.code, reply.say) == (True, "event_sent", "Thank you, I have passed that on.")
    initiated, started, event = await stack.events(talk.call_id)
    assert (event["type"], event["id"], event["subject"]) == ("lead_qualified", reply.result["event_id"], talk.call_id)
    assert event["data"] | {"occurred_at": None} == {
        "call_id": talk.call_id,
        "contact_id": "crm-42",
        "attempt": 1,
        "attempt_id": talk.attempt_id,
        "provider_call_id": talk.provider_call_id,
        "sequence": 3,
        "occurred_at": None,
        "metadata": {},
        "score": 7,
        "tags": ["a"],
    }
    assert [each["data"]["sequence"] for each in (initiated, started)] == [1, 2]
    row = await stack.one("SELECT order_key FROM outbox WHERE message_id = $1", event["id"])
    assert row["order_key"] == f"call:{talk.call_id}"


async def test_two_of_a_kind_are_two_and_a_repeat_is_none(stack):
    talk = await stack.talk()
    for key in ("k1", "k1", "k2"):
        assert (await stack.tool(talk, "send_abt_event", {"type": "lead_qualified"}, key=key)).ok
    sent = [event for event in await stack.events(talk.call_id) if event["type"] == "lead_qualified"]
    assert [event["data"]["sequence"] for event in sent] == [3, 4]


@pytest.mark.parametrize("type_", sorted(LIFECYCLE_NAMES))
async def test_the_seven_cannot_be_forged(stack_without_database, type_):
    reply = stack_without_database.operations.rehearse("send_abt_event", {"type": type_})
    assert (reply.ok, reply.code) == (False, "reserved_event")


@pytest.mark.parametrize("args", [{}, {"type": "unheard_of"}, {"type": "VOICE_AI_CALL_COMPLETED"}, {"type": None}])
async def test_an_unregistered_type_gets_the_list_of_registered_ones(stack_without_database, args):
    reply = stack_without_database.operations.rehearse("send_abt_event", args)
    assert (reply.code, reply.result["valid"]) == (
        "unknown_event",
        ["appointment_booked", "lead_qualified", "payment_promised"],
    )


@pytest.mark.parametrize(
    "data",
    [
        {"sequence": 1},
        {"call_id": "c"},
        {"occurred_at": "x", "attempt": 2},
        [],
        "x",
        {"a": float("nan")},
        {"a": "x\0y"},
        {"a": "x\ud800y"},
        {"a": 2**63},
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}},
        {"a": "x" * 17_000},
    ],
)
async def test_data_that_lies_about_the_call_or_cannot_be_carried_is_refused(stack_without_database, data):
    reply = stack_without_database.operations.rehearse("send_abt_event", {"type": "lead_qualified", "data": data})
    assert (reply.code, list(reply.result["errors"])) == ("invalid_args", ["data"])


async def test_a_finished_call_may_still_get_one_and_stays_as_it_ended(stack):
    call_id = await stack.accept()
    await stack.cancel(call_id)
    assert (await stack.ask("send_abt_event", {"type": "payment_promised"}, call_id=call_id)).ok
    closing, custom = await stack.events(call_id)
    assert (closing["data"]["is_final"], custom["type"], custom["data"]["attempt"]) == (True, "payment_promised", None)
    assert (await stack.call(call_id))["status"] == "cancelled"


async def test_a_contact_with_several_calls_or_none_has_to_name_one(stack):
    one, other = await stack.accept(), await stack.accept(phone="+14155550101")
    reply = await stack.ask("send_abt_event", {"type": "lead_qualified"}, contact_id="crm-42")
    assert (reply.code, reply.result["call_ids"]) == ("which_call", sorted([one, other]))
    await stack.cancel(one)
    assert (await stack.ask("send_abt_event", {"type": "lead_qualified"}, contact_id="crm-42")).ok
    await stack.cancel(other)
    assert (await stack.ask("send_abt_event", {"type": "lead_qualified"}, contact_id="crm-42")).code == "not_found"
