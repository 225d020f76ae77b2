"""Calls from outside: what the inbound webhook is asked, how its answer is obeyed, and the call that follows."""

import json
from dataclasses import replace

import httpx
import pytest
from retell.lib.webhook_auth import verify

from ringback_emulator import retell
from ringback_emulator.scenarios import INBOUND


def answering(world, *answers):
    world.recorder.inbound_answers[:] = answers


def accepting(**fields):
    return 200, {"call_inbound": fields}


async def delivered(world, call_id, wait_until):
    async def all_three():
        return len(world.recorder.events(call_id)) == 3

    await wait_until(all_three)
    return set(world.recorder.events(call_id))


async def test_the_webhook_is_asked_the_way_retell_asks(world):
    said = await world.ring_in(agent_id="agent_desk")
    ((raw, headers),) = world.recorder.inbound
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


async def test_the_webhook_may_be_asked_without_an_agent_and_without_the_calls_id(world):
    await world.ring_in(agent_id=None, names_call=False)
    assert json.loads(world.recorder.inbound[0][0])["call_inbound"].keys() == {"from_number", "to_number"}


async def test_the_call_goes_as_the_answer_says(world, wait_until):
    answering(
        world,
        accepting(
            override_agent_id="agent_sales",
            override_agent_version=3,
            dynamic_variables={"first_name": "Ada", "is_known": "true"},
            metadata={"ringback_contact_id": "crm-42"},
            retell_llm_dynamic_variables={"ignored": "by this name"},
        ),
    )
    said = await world.ring_in()
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_sales")
    assert said["webhook"]["answer"]["call_inbound"]["metadata"] == {"ringback_contact_id": "crm-42"}
    assert (said["webhook"]["statuses"], said["webhook"]["problem"]) == ([200], None)
    events = await delivered(world, said["call_id"], wait_until)
    assert events == {"call_started", "call_ended", "call_analyzed"}
    started = world.recorder.body(said["call_id"], "call_started")["call"]
    assert (started["direction"], started["from_number"]) == ("inbound", "+14155550150")
    call = await world.sdk.call.retrieve(said["call_id"])
    assert (call.call_type, call.direction, call.call_status) == ("phone_call", "inbound", "ended")
    assert (call.agent_id, call.agent_version) == ("agent_sales", 3)
    assert call.metadata == {"ringback_contact_id": "crm-42"}
    assert call.retell_llm_dynamic_variables == {"first_name": "Ada", "is_known": "true"}
    assert call.transcript.startswith("Agent: Hi Ada, ")


async def test_an_inbound_call_is_listed_by_its_direction_and_rings_nobody(world):
    said = await world.ring_in()
    await world.finished(said["call_id"])
    assert await world.find(direction={"type": "enum", "op": "in", "value": ["inbound"]}) == [said["call_id"]]
    assert await world.rings() == []


async def test_tools_carry_the_metadata_that_the_webhook_gave(world):
    answering(world, accepting(metadata={"ringback_contact_id": "crm-42"}))
    said = await world.ring_in(scenario="tools")
    await world.finished(said["call_id"])
    names = [name for name, _, _ in world.recorder.tools]
    assert names == ["field_writeback", "note_writeback", "set_disposition"]
    for body in world.recorder.tool_bodies():
        assert body["call"]["call_id"] == said["call_id"]
        assert body["call"]["direction"] == "inbound"
        assert body["call"]["metadata"] == {"ringback_contact_id": "crm-42"}
        assert body["call"]["transcript_with_tool_calls"][-1]["name"] == body["name"]


WISHES = {
    "talk": (True, []),
    "tools": (True, ["field_writeback", "note_writeback", "set_disposition"]),
    "reschedule": (False, ["reschedule_call"]),
    "opt_out": (False, ["set_disposition"]),
    "hang_up": (False, []),
}


async def test_the_scenario_is_the_callers_wish(world):
    said = {scenario: (await world.ring_in(scenario=scenario))["call_id"] for scenario in WISHES}
    for scenario, (successful, tools) in WISHES.items():
        body = await world.finished(said[scenario])
        assert body["call_analysis"]["call_successful"] is successful, scenario
        assert [posted["name"] for posted in world.recorder.tool_bodies(said[scenario])] == tools


def test_every_inbound_scenario_is_known_here():
    assert WISHES.keys() == INBOUND.keys()


async def test_a_caller_who_opts_out_is_marked_by_their_own_number(world):
    said = await world.ring_in("+12125550100", scenario="opt_out")
    await world.finished(said["call_id"])
    again = {"from_number": "+14155550199", "to_number": "+12125550100", "honor_internal_dnc": True}
    assert (await world.post(again)).status_code == 400


async def test_a_withheld_number_is_anonymous_everywhere(world):
    said = await world.ring_in("anonymous")
    assert json.loads(world.recorder.inbound[0][0])["call_inbound"]["from_number"] == "anonymous"
    assert (await world.finished(said["call_id"]))["from_number"] == "anonymous"


VOID = [
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


async def test_one_invalid_field_voids_the_whole_answer_and_the_numbers_own_agent_takes_the_call(world):
    for answer in VOID:
        answering(world, (200, answer))
        said = await world.ring_in(agent_id="agent_desk")
        assert (said["outcome"], said["agent_id"]) == ("connected", "agent_desk"), answer
        assert said["webhook"]["problem"], answer
        assert said["webhook"]["statuses"] == [200]
        call = await world.get(said["call_id"])
        assert not {"metadata", "retell_llm_dynamic_variables"} & call.keys(), answer


async def test_a_rejected_caller_leaves_no_call(world):
    answering(world, accepting(reject=True, override_agent_id="agent_sales"))
    said = await world.ring_in()
    assert (said["outcome"], said["call_id"], said["agent_id"]) == ("rejected", None, None)
    assert await world.find() == []
    assert world.recorder.webhooks == []


async def test_only_true_itself_rejects(world):
    for reject in ("true", 1, False, None):
        answering(world, accepting(reject=reject, metadata={"kept": "yes"}))
        said = await world.ring_in()
        assert (said["outcome"], said["webhook"]["problem"]) == ("connected", None), reject
        assert (await world.get(said["call_id"]))["metadata"] == {"kept": "yes"}


async def test_the_webhook_is_asked_again_with_the_same_body_until_it_accepts(world):
    answering(world, (503, "busy"), (500, {}), accepting(metadata={"k": "v"}))
    said = await world.ring_in()
    assert said["webhook"]["statuses"] == [503, 500, 200]
    assert len({raw for raw, _ in world.recorder.inbound}) == 1
    assert len({headers["x-retell-signature"] for _, headers in world.recorder.inbound}) == 3
    assert (await world.get(said["call_id"]))["metadata"] == {"k": "v"}


@pytest.mark.parametrize(("agent_id", "outcome"), [("agent_desk", "connected"), (None, "disconnected")])
async def test_after_three_retries_the_numbers_own_agent_answers_if_there_is_one(world, agent_id, outcome):
    answering(world, (503, {"call_inbound": {"override_agent_id": "agent_sales", "reject": True}}))
    said = await world.ring_in(agent_id=agent_id)
    assert (said["outcome"], said["agent_id"]) == (outcome, agent_id)
    assert said["webhook"]["statuses"] == [503] * 4
    assert said["webhook"]["problem"] == "no try was answered with 2xx"
    assert len(await world.find()) == (outcome == "connected")


async def test_an_answer_may_name_the_agent_of_a_number_that_has_none(world):
    answering(world, accepting(override_agent_id="agent_sales"))
    said = await world.ring_in(agent_id=None)
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_sales")


async def test_a_number_without_an_inbound_webhook_is_answered_by_its_agent(settings, serve):
    async with serve(retell.create_app(settings)) as url:
        key = {"authorization": f"Bearer {settings.control_key}"}
        async with httpx.AsyncClient(base_url=url, verify=False, headers=key) as http:
            body = {"from_number": "+14155550150", "to_number": "+14155550199"}
            said = (await http.post("/emulator/retell/inbound", json=body)).json()
    assert (said["outcome"], said["agent_id"]) == ("connected", "agent_emulator")
    assert said["webhook"] == {"statuses": [], "answer": None, "problem": None}


async def test_inbound_calls_use_the_concurrency_that_all_calls_share(settings, open_world):
    async with open_world(replace(settings, concurrency_limit=1, speed=1.0)) as world:
        await world.place("+12125550100")
        body = {"from_number": "+14155550150", "to_number": "+14155550199"}
        assert (await world.http.post("/emulator/retell/inbound", json=body)).status_code == 429


async def test_an_inbound_call_goes_on_after_a_restart_and_still_rings_nobody(settings, open_world):
    async with open_world(replace(settings, speed=20.0)) as first:
        said = await first.ring_in()
    async with open_world(settings) as second:
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


async def test_a_caller_that_cannot_be_is_a_400(world):
    for body in IMPOSSIBLE:
        assert (await world.http.post("/emulator/retell/inbound", json=body)).status_code == 400, body
    assert world.recorder.inbound == []
