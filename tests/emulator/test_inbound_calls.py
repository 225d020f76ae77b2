"""Inbound calls: the request to the webhook, the use of its answer, and the call that follows."""

import json
from dataclasses import replace

import httpx
import pytest
from retell.lib.webhook_auth import verify

from ringback_emulator import retell
from ringback_emulator.scenarios import INBOUND


def answering(emulator, *answers):
    emulator.receiver.inbound_answers[:] = answers


def accepting(**fields):
    return 200, {"call_inbound": fields}


async def delivered(emulator, call_id, wait_until):
    async def all_three():
        return len(emulator.receiver.events(call_id)) == 3

    await wait_until(all_three)
    return set(emulator.receiver.events(call_id))


async def test_the_webhook_is_asked_the_way_retell_asks(emulator):
    said = await emulator.receive_inbound_call(agent_id="agent_desk")
    ((raw, headers),) = emulator.receiver.inbound
    body = json.loads(raw)
    assert isinstance(body.pop("event_timestamp"), int)
    assert body == {
        "event": "call_inbound",
        "call_inbound": {
            "agent_id": "agent_desk",
            "agent_version": 0,
            "call_id": said["call_id"],
            "from_number": "+14155550150",
            "to_number": "+14155550199",
        },
    }
    assert verify(raw.decode(), "key_webhook_badge", headers["x-retell-signature"])
    assert headers["user-agent"] == "axios/1.15.2"


async def test_the_webhook_may_be_asked_without_an_agent_and_without_the_calls_id(emulator):
    await emulator.receive_inbound_call(agent_id=None, names_call=False)
    assert json.loads(emulator.receiver.inbound[0][0])["call_inbound"].keys() == {"from_number", "to_number"}


async def test_the_call_follows_the_answer(emulator, wait_until):
    answering(
        emulator,
        accepting(
            override_agent_id="agent_sales",
            override_agent_version=3,
            dynamic_variables={"first_name": "Ada", "is_known": "true"},
            metadata={"ringback_contact_id": "crm-42"},
            retell_llm_dynamic_variables={"ignored": "by this name"},
        ),
    )
    said = await emulator.receive_inbound_call()
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_sales")
    assert said["webhook"]["answer"]["call_inbound"]["metadata"] == {"ringback_contact_id": "crm-42"}
    assert (said["webhook"]["statuses"], said["webhook"]["problem"]) == ([200], None)
    events = await delivered(emulator, said["call_id"], wait_until)
    assert events == {"call_started", "call_ended", "call_analyzed"}
    started = emulator.receiver.body(said["call_id"], "call_started")["call"]
    assert (started["direction"], started["from_number"]) == ("inbound", "+14155550150")
    call = await emulator.sdk.call.retrieve(said["call_id"])
    assert (call.call_type, call.direction, call.call_status) == ("phone_call", "inbound", "ended")
    assert (call.agent_id, call.agent_version) == ("agent_sales", 3)
    assert call.metadata == {"ringback_contact_id": "crm-42"}
    assert call.retell_llm_dynamic_variables == {"first_name": "Ada", "is_known": "true"}
    assert call.transcript.startswith("Agent: Hi Ada, ")


async def test_an_inbound_call_is_listed_and_rings_no_phone(emulator):
    said = await emulator.receive_inbound_call()
    await emulator.finished(said["call_id"])
    (item,) = (await emulator.sdk.call.list()).items
    assert (item.call_id, item.direction) == (said["call_id"], "inbound")
    assert await emulator.rings() == []


async def test_functions_contain_the_metadata_of_the_webhooks_answer(emulator):
    answering(emulator, accepting(metadata={"ringback_contact_id": "crm-42"}))
    said = await emulator.receive_inbound_call(scenario="tools")
    await emulator.finished(said["call_id"])
    names = [name for name, _, _ in emulator.receiver.functions]
    assert names == ["field_writeback", "note_writeback", "set_disposition"]
    for body in emulator.receiver.function_bodies():
        assert body["call"]["call_id"] == said["call_id"]
        assert body["call"]["direction"] == "inbound"
        assert body["call"]["metadata"] == {"ringback_contact_id": "crm-42"}
        assert body["call"]["transcript_with_tool_calls"][-1]["name"] == body["name"]


EXPECTED = {
    "talk": (True, []),
    "tools": (True, ["field_writeback", "note_writeback", "set_disposition"]),
    "reschedule": (False, ["reschedule_call"]),
    "opt_out": (False, ["set_disposition"]),
    "hang_up": (False, []),
}


async def test_the_scenario_is_the_requested_one(emulator):
    said = {scenario: (await emulator.receive_inbound_call(scenario=scenario))["call_id"] for scenario in EXPECTED}
    for scenario, (successful, tools) in EXPECTED.items():
        body = await emulator.finished(said[scenario])
        assert body["call_analysis"]["call_successful"] is successful, scenario
        assert [posted["name"] for posted in emulator.receiver.function_bodies(said[scenario])] == tools


def test_every_inbound_scenario_is_tested_here():
    assert EXPECTED.keys() == INBOUND.keys()


async def test_a_caller_who_opts_out_is_marked_by_their_own_number(emulator):
    said = await emulator.receive_inbound_call("+12125550100", scenario="opt_out")
    await emulator.finished(said["call_id"])
    again = {"from_number": "+14155550199", "to_number": "+12125550100", "honor_internal_dnc": True}
    assert (await emulator.post(again)).status_code == 400


async def test_a_withheld_number_is_anonymous_everywhere(emulator):
    said = await emulator.receive_inbound_call("anonymous")
    assert json.loads(emulator.receiver.inbound[0][0])["call_inbound"]["from_number"] == "anonymous"
    assert (await emulator.finished(said["call_id"]))["from_number"] == "anonymous"


INVALID_ANSWERS = [
    "",
    "not json",
    '{"call_inbound": {"metadata": {"half": "\\ud83d"}}}',
    [],
    {},
    {"call_inbound": []},
    {"call_inbound": {"metadata": {"kept": "no"}, "dynamic_variables": {"is_known": True}}},
    {"call_inbound": {"metadata": {"kept": "no"}, "dynamic_variables": []}},
    {"call_inbound": {"metadata": ["kept"]}},
    {"call_inbound": {"metadata": {"kept": "no"}, "override_agent_id": "agent_unknown"}},
    {"call_inbound": {"metadata": {"kept": "no"}, "override_agent_id": 7}},
    {"call_inbound": {"metadata": {"kept": "no"}, "agent_override": "agent_sales"}},
    {"call_inbound": {"metadata": {"too": "x" * 50_000}}},
    {"call_inbound": {"reject": True, "dynamic_variables": {"attempts": 3}}},
]


async def test_one_invalid_field_makes_the_whole_answer_invalid_and_the_numbers_own_agent_answers(emulator):
    for answer in INVALID_ANSWERS:
        answering(emulator, (200, answer))
        said = await emulator.receive_inbound_call(agent_id="agent_desk")
        assert (said["outcome"], said["agent_id"]) == ("connected", "agent_desk"), answer
        assert said["webhook"]["problem"], answer
        assert said["webhook"]["statuses"] == [200]
        call = await emulator.get(said["call_id"])
        assert not {"metadata", "retell_llm_dynamic_variables"} & call.keys(), answer


async def test_a_rejected_caller_leaves_no_call(emulator):
    answering(emulator, accepting(reject=True, override_agent_id="agent_sales"))
    said = await emulator.receive_inbound_call()
    assert (said["outcome"], said["call_id"], said["agent_id"]) == ("rejected", None, None)
    assert await emulator.find() == []
    assert emulator.receiver.webhooks == []


async def test_only_true_rejects_a_caller(emulator):
    for reject in ("true", 1, False, None):
        answering(emulator, accepting(reject=reject, metadata={"kept": "yes"}))
        said = await emulator.receive_inbound_call()
        assert (said["outcome"], said["webhook"]["problem"]) == ("connected", None), reject
        assert (await emulator.get(said["call_id"]))["metadata"] == {"kept": "yes"}


async def test_the_webhook_is_asked_again_with_the_same_body_until_it_accepts(emulator):
    answering(emulator, (503, "busy"), (500, {}), accepting(metadata={"k": "v"}))
    said = await emulator.receive_inbound_call()
    assert said["webhook"]["statuses"] == [503, 500, 200]
    assert len({raw for raw, _ in emulator.receiver.inbound}) == 1
    assert len({headers["x-retell-signature"] for _, headers in emulator.receiver.inbound}) == 3
    assert (await emulator.get(said["call_id"]))["metadata"] == {"k": "v"}


@pytest.mark.parametrize(("agent_id", "outcome"), [("agent_desk", "connected"), (None, "disconnected")])
async def test_after_three_retries_the_numbers_own_agent_answers_if_there_is_one(emulator, agent_id, outcome):
    answering(emulator, (503, {"call_inbound": {"override_agent_id": "agent_sales", "reject": True}}))
    said = await emulator.receive_inbound_call(agent_id=agent_id)
    assert (said["outcome"], said["agent_id"]) == (outcome, agent_id)
    assert said["webhook"]["statuses"] == [503] * 4
    assert said["webhook"]["problem"] == "no try was answered with 2xx"
    assert len(await emulator.find()) == (outcome == "connected")


async def test_an_answer_may_name_the_agent_of_a_number_that_has_none(emulator):
    answering(emulator, accepting(override_agent_id="agent_sales"))
    said = await emulator.receive_inbound_call(agent_id=None)
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_sales")


async def test_a_number_without_an_inbound_webhook_is_answered_by_its_agent(settings, serve):
    async with serve(retell.create_app(settings)) as url:
        key = {"authorization": f"Bearer {settings.control_key}"}
        async with httpx.AsyncClient(base_url=url, verify=False, headers=key) as http:
            body = {"from_number": "+14155550150", "to_number": "+14155550199"}
            said = (await http.post("/emulator/retell/inbound", json=body)).json()
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_emulator")
    assert said["webhook"] == {"statuses": [], "answer": None, "problem": None}


async def test_inbound_calls_use_the_concurrency_that_all_calls_share(settings, open_emulator):
    async with open_emulator(replace(settings, concurrency_limit=1, speed=1.0)) as emulator:
        await emulator.place("+12125550100")
        body = {"from_number": "+14155550150", "to_number": "+14155550199"}
        assert (await emulator.http.post("/emulator/retell/inbound", json=body)).status_code == 429


async def test_an_inbound_call_continues_after_a_restart_and_still_rings_no_phone(settings, open_emulator):
    async with open_emulator(replace(settings, speed=20.0)) as first:
        said = await first.receive_inbound_call()
    async with open_emulator(settings) as second:
        assert (await second.finished(said["call_id"]))["direction"] == "inbound"
        assert await second.rings() == []


IMPOSSIBLE = [
    {},
    {"from_number": "+14155550150"},
    {"from_number": "", "to_number": "+14155550199"},
    {"from_number": "+14155550150", "to_number": "anonymous"},
    {"from_number": "+14155550150", "to_number": "+14155550199", "scenario": "07"},
    {"from_number": "+14155550150", "to_number": "+14155550199", "scenario": ["talk"]},
    {"from_number": "+14155550150", "to_number": "+14155550199", "agent_id": "agent_unknown"},
]


async def test_an_impossible_caller_is_a_400(emulator):
    for body in IMPOSSIBLE:
        assert (await emulator.http.post("/emulator/retell/inbound", json=body)).status_code == 400, body
    assert emulator.receiver.inbound == []
