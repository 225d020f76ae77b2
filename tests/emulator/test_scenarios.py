"""Each magic number: what the API, the webhooks and the ledger say of the call."""

import asyncio
import json

import pytest

from ringback_emulator.dialogues import DIALOGUES
from ringback_emulator.scenarios import MAGIC_NUMBERS, SCENARIOS, scenario_of
from ringback_emulator.turns import SAY

CONNECTED = ["call_started", "call_ended", "call_analyzed"]
NOT_CONNECTED = ["call_ended", "call_analyzed"]
EXPECTED = {
    "00": ("ended", "agent_hangup", True, CONNECTED),
    "01": ("not_connected", "dial_no_answer", False, NOT_CONNECTED),
    "02": ("not_connected", "dial_busy", False, NOT_CONNECTED),
    "03": ("ended", "voicemail_reached", False, CONNECTED),
    "04": ("ended", "voicemail_reached", False, CONNECTED),
    "05": ("ended", "user_hangup", False, CONNECTED),
    "06": ("not_connected", "invalid_destination", False, NOT_CONNECTED),
    "07": ("ended", "agent_hangup", False, CONNECTED),
    "08": ("ended", "agent_hangup", False, CONNECTED),
    "09": ("ended", "agent_hangup", True, []),
    "10": (
        "ended",
        "agent_hangup",
        True,
        ["call_analyzed", "call_analyzed", "call_ended", "call_ended", "call_started", "call_started"],
    ),
    "11": ("ended", "agent_hangup", True, CONNECTED),
    "13": ("ended", "agent_hangup", True, CONNECTED),
    "14": ("not_connected", "user_declined", False, NOT_CONNECTED),
    "15": ("ended", "call_transfer", True, CONNECTED),
    "16": ("ended", "agent_hangup", True, CONNECTED),
    "17": ("ended", "agent_hangup", True, CONNECTED),
    "18": ("ended", "agent_hangup", True, CONNECTED),
    "19": ("ended", "agent_hangup", True, CONNECTED),
    "20": ("ended", "agent_hangup", False, CONNECTED),
    "21": ("ended", "agent_hangup", False, CONNECTED),
    "22": ("ended", "agent_hangup", True, CONNECTED),
    "23": ("ended", "agent_hangup", True, CONNECTED),
    "24": ("ended", "agent_hangup", True, CONNECTED),
    "25": ("ended", "agent_hangup", False, CONNECTED),
}


async def placed(world, code, **fields):
    """The call id, found by its metadata where create does not tell it."""
    metadata = {"attempt": code}
    for _ in range(3):
        body = {"from_number": "+14155550199", "to_number": f"+121255501{code}", "metadata": metadata, **fields}
        answer = await world.post(body)
        if answer.status_code == 201:
            return answer.json()["call_id"]
        if answer.status_code == 500:
            break
    (call_id,) = await world.find(metadata=[{"type": "string", "op": "eq", "key": "attempt", "value": code}])
    return call_id


async def test_every_scenario_ends_as_its_number_says(world, wait_until):
    call_ids = {code: await placed(world, code) for code in EXPECTED}
    for code, call_id in call_ids.items():
        await check_ending(world, wait_until, code, call_id)
    rung = [ring["provider_call_id"] for ring in await world.rings()]
    assert sorted(rung) == sorted(call_id for code, call_id in call_ids.items() if code != "06")


async def check_ending(world, wait_until, code, call_id):
    status, reason, successful, events = EXPECTED[code]
    await world.finished(call_id)

    async def all_delivered():
        return len(world.recorder.events(call_id)) == len(events)

    await wait_until(all_delivered)
    delivered = world.recorder.events(call_id)
    # Deliveries do not wait for one another, so on a busy machine they overtake each other, but for the reversed ones.
    assert delivered == events or (code != "10" and sorted(delivered) == sorted(events)), code
    call = await world.sdk.call.retrieve(call_id)
    assert (call.call_type, call.call_status, call.disconnection_reason) == ("phone_call", status, reason), code
    assert call.call_analysis.call_successful is successful, code
    listed = (await world.sdk.call.list(filter_criteria={"call_id": eq(call_id)})).items[0]
    assert (listed.call_type, listed.call_status) == ("phone_call", status), code


def eq(value):
    return {"type": "string", "op": "eq", "value": value}


async def test_a_fresh_call_is_registered_and_satisfies_the_strict_sdk(world):
    call = await world.place("+12125550100", metadata={"a": 1}, retell_llm_dynamic_variables={"first_name": "Ada"})
    assert (call.call_type, call.call_status, call.agent_id) == ("phone_call", "registered", "agent_sales")
    assert call.metadata == {"a": 1}
    assert call.retell_llm_dynamic_variables == {"first_name": "Ada"}
    assert call.start_timestamp is None
    assert call.call_analysis is None


async def test_a_human_call_has_a_believable_record(world):
    call = await world.place("+12125550100", retell_llm_dynamic_variables={"first_name": "Ada"})
    body = await world.finished(call.call_id)
    assert body["transcript"].startswith("Agent: Hi Ada, ")
    assert "\nUser: " in body["transcript"]
    assert body["duration_ms"] == body["end_timestamp"] - body["start_timestamp"] > 0
    assert body["call_cost"]["combined_cost"] == pytest.approx(
        sum(p["cost"] for p in body["call_cost"]["product_costs"])
    )
    assert body["transcript_object"][-1]["words"][-1]["end"] <= body["duration_ms"] / 1000
    assert {"e2e", "llm", "tts"} <= body["latency"].keys()
    assert body["recording_url"].startswith("https://")
    assert await world.get(call.call_id) == body


async def test_an_analyzed_human_call_weighs_what_a_real_one_does(world, wait_until):
    call = await world.place("+12125550100")

    async def delivered():
        return "call_analyzed" in world.recorder.events(call.call_id)

    await wait_until(delivered)
    assert 10_000 < len(world.recorder.webhooks[-1][0]) < 20_000


async def test_the_stages_of_a_call_grow_as_the_platform_says(world, wait_until):
    call = await world.place("+12125550100", metadata={"k": "v"})

    async def delivered():
        return len(set(world.recorder.events(call.call_id))) == 3

    await wait_until(delivered)
    started = world.recorder.body(call.call_id, "call_started")
    ended = world.recorder.body(call.call_id, "call_ended")
    analyzed = world.recorder.body(call.call_id, "call_analyzed")
    assert started["call"]["call_status"] == "ongoing"
    assert started["call"]["metadata"] == {"k": "v"}
    assert "end_timestamp" not in started["call"]
    assert "call_analysis" not in ended["call"]
    assert ended["call"]["transcript"]
    assert analyzed["call"].items() >= ended["call"].items()
    assert started["event_timestamp"] <= ended["event_timestamp"] <= analyzed["event_timestamp"]


@pytest.mark.parametrize("code", ["01", "02", "06", "14"])
async def test_a_call_that_never_connected_has_no_times_and_an_empty_analysis(world, code):
    call = await world.place(f"+121255501{code}")
    body = await world.finished(call.call_id)
    assert not {"start_timestamp", "end_timestamp", "recording_url"} & body.keys()
    assert (body["duration_ms"], body["transcript"], body["call_cost"]["combined_cost"]) == (0, "", 0)
    assert body["call_analysis"] == {
        "call_summary": "",
        "user_sentiment": "Unknown",
        "call_successful": False,
        "custom_analysis_data": {},
    }


async def test_a_voicemail_with_a_message_has_an_agent_utterance_and_one_without_has_none(world):
    left, silent = await world.place("+12125550103"), await world.place("+12125550104")
    message, nothing = await world.finished(left.call_id), await world.finished(silent.call_id)
    assert [utterance["role"] for utterance in message["transcript_object"]] == ["agent"]
    assert nothing["transcript"] == ""
    assert nothing["transcript_object"] == []
    assert message["call_analysis"]["in_voicemail"] is nothing["call_analysis"]["in_voicemail"] is True


async def test_an_early_hang_up_has_one_user_turn(world):
    call = await world.place("+12125550105")
    body = await world.finished(call.call_id)
    assert [utterance["role"] for utterance in body["transcript_object"]] == ["agent", "user"]
    assert body["call_analysis"]["in_voicemail"] is False


async def test_a_transfer_names_its_destination(world):
    call = await world.place("+12125550115")
    assert (await world.finished(call.call_id))["transfer_destination"].startswith("+1")


async def test_a_late_analysis_comes_long_after_the_end(world):
    call = await world.place("+12125550116")
    await world.finished(call.call_id)
    ended = world.recorder.body(call.call_id, "call_ended")["event_timestamp"]

    assert (await analyzed_at(world, call.call_id)) - ended >= 60_000 / 400


async def analyzed_at(world, call_id):
    for _ in range(100):
        if "call_analyzed" in world.recorder.events(call_id):
            break
        await asyncio.sleep(0.01)
    return world.recorder.body(call_id, "call_analyzed")["event_timestamp"]


async def test_copies_of_a_duplicated_event_differ_in_event_timestamp_alone(world, wait_until):
    call = await world.place("+12125550110")

    async def all_six():
        return len(world.recorder.webhooks) == 6

    await wait_until(all_six)
    first, second = (json.loads(body) for body, _ in world.recorder.webhooks[:2])
    assert first.pop("event_timestamp") != second.pop("event_timestamp")
    assert first == second
    assert world.recorder.body(call.call_id, "call_started")["call"]["call_status"] == "ongoing"


@pytest.mark.parametrize(
    ("to_number", "metadata", "code"),
    [
        ("+12125550107", None, "07"),
        ("+19995550116", {}, "16"),
        ("+12125550107", {"emulator_scenario": "02"}, "02"),
        ("+12125550107", {"emulator_scenario": 2}, "02"),
        ("+12125550199", None, "00"),
        ("+12125560107", None, "00"),
        ("+4930123456", None, "00"),
        ("+4930123456", {"emulator_scenario": "14"}, "14"),
        ("+12125550107", {"emulator_scenario": "none"}, "00"),
        ("+12125550107", {"emulator_scenario": "talk"}, "00"),
    ],
)
def test_metadata_wins_over_the_number_and_anything_else_is_answered(to_number, metadata, code):
    assert scenario_of(to_number, metadata) == code


def test_every_documented_scenario_exists():
    assert sorted(MAGIC_NUMBERS) == [f"{code:02}" for code in range(26)]


def test_an_agent_speaks_once_for_each_of_its_tools():
    for code, script in SCENARIOS.items():
        assert [text for _, text in DIALOGUES[script.dialogue]].count(SAY) == len(script.tools), code
