"""The data of custom events, as the catalogue declares it."""

import pytest

PROMISE = """
[events.payment_promised]
description = "The person promised to pay."
[events.payment_promised.data]
amount = { type = "number", description = "The amount in dollars.", required = true }
method = ["card", "bank transfer"]
[events.shipped]
[events.shipped.data]
amount = { type = "text", required = true }
[events.visited]
[events.greeted]
more_data = true
[events.greeted.data]
happy = "boolean"
"""


@pytest.fixture
def send(rehearse):
    return lambda type_, data=None: rehearse(PROMISE, "send_abt_event", {"type": type_, "data": data})


def test_declared_data_is_sent_in_its_declared_form(send):
    assert send("payment_promised", {"amount": "$50", "method": "Bank Transfer"}).code == "rehearsed"
    assert send("shipped", {"amount": "50"}).code == "rehearsed"


@pytest.mark.parametrize(
    ("data", "rejected"),
    [
        (None, {"amount": "is needed; The amount in dollars."}),
        ({"amount": None}, {"amount": "is needed; The amount in dollars."}),
        ({"amount": "a lot"}, {"amount": "must be a number, without currency or separators"}),
        ({"amount": True}, {"amount": "must be a number, without currency or separators"}),
        ({"amount": 5, "method": "cheque"}, {"method": "must be one of: card, bank transfer"}),
        (
            {"method": 7},
            {"amount": "is needed; The amount in dollars.", "method": "must be one of: card, bank transfer"},
        ),
    ],
)
def test_missing_and_unfit_members_are_told_and_nothing_is_sent(send, data, rejected):
    reply = send("payment_promised", data)
    assert (reply.ok, reply.code, reply.result) == (False, "invalid_data", {"rejected": rejected})
    assert reply.say == "I need one more detail for that, or did not understand it; could you tell me?"


def test_what_an_agent_adds_is_left_out_and_listed(send):
    reply = send("payment_promised", {"amount": 5, "reasoning": "the person said so"})
    assert (reply.ok, reply.result["ignored"]) == (True, ["data.reasoning"])


def test_an_event_without_declared_data_takes_any_and_so_does_one_with_more_data(send):
    assert "ignored" not in send("visited", {"anything": [1, {"a": "b"}]}).result
    reply = send("greeted", {"happy": "yes", "words": 12})
    assert (reply.ok, "ignored" in reply.result) == (True, False)
    assert send("greeted", {"happy": "very"}).result["rejected"] == {"happy": "must be true or false"}


async def test_the_event_has_the_values_and_a_system_is_held_to_the_letter(stack):
    talk = await stack.talk()
    promised = {"amount": "$1,200", "due": " Friday ", "words": 12}
    assert (await stack.tool(talk, "send_abt_event", {"type": "payment_promised", "data": promised})).ok
    sent = (await stack.events(talk.call_id))[-1]["data"]
    assert (sent["amount"], sent["due"], sent["words"]) == (1200, "Friday", 12)
    refused = await stack.ask("send_abt_event", {"type": "payment_promised", "data": promised}, call_id=talk.call_id)
    assert (refused.code, set(refused.result["rejected"])) == ("invalid_data", {"amount"})
    assert len(await stack.events(talk.call_id)) == 3  # initiated, started by the function, and one payment_promised


def test_a_member_beside_the_type_belongs_to_the_data(rehearse):
    assert rehearse(PROMISE, "send_abt_event", {"type": "payment_promised", "amount": "50"}).code == "rehearsed"
