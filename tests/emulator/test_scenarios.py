"""Scenarios: the number or the metadata selects one, and the call ends as it says."""

import asyncio
import json

import pytest

from ringback_emulator.dialogues import DIALOGUES, SAY
from ringback_emulator.scenarios import MAGIC_NUMBERS, SCENARIOS, scenario_of

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


async def placed(emulator, code, **fields):
    """The call id, found by its metadata where create does not tell it."""
    metadata = {"attempt": code}
    for _ in range(3):
        body = {"from_number": "+14155550199", "to_number": f"+121255501{code}", "metadata": metadata, **fields}
        answer = await emulator.post(body)
        if answer.status_code == 201:
            return answer.json()["call_id"]
        if answer.status_code == 500:
            break
    (call_id,) = await emulator.find(metadata=[by_attempt(code)])
    return call_id


def by_attempt(code):
    return {"type": "string", "op": "eq", "key": "attempt", "value": code}


async def test_every_scenario_ends_as_its_number_says(emulator, wait_until):
    call_ids = {code: await placed(emulator, code) for code in EXPECTED}
    for code, call_id in call_ids.items():
        await check_ending(emulator, wait_until, code, call_id)
    rung = [ring["provider_call_id"] for ring in await emulator.rings()]
    assert sorted(rung) == sorted(call_id for code, call_id in call_ids.items() if code != "06")


async def check_ending(emulator, wait_until, code, call_id):
    status, reason, successful, events = EXPECTED[code]
    await emulator.finished(call_id)

    async def all_delivered():
        return len(emulator.receiver.events(call_id)) == len(events)

    await wait_until(all_delivered)
    delivered = emulator.receiver.events(call_id)
    # Deliveries do not wait for one another, so on a busy machine they overtake each other, but for the reversed ones.
    assert delivered == events or (code != "10" and sorted(delivered) == sorted(events)), code
    call = await emulator.sdk.call.retrieve(call_id)
    assert (call.call_type, call.call_status, call.disconnection_reason) == ("phone_call", status, reason), code
    assert call.call_analysis.call_successful is successful, code
    (listed,) = (await emulator.sdk.call.list(filter_criteria={"metadata": [by_attempt(code)]})).items
    assert (listed.call_id, listed.call_type, listed.call_status) == (call_id, "phone_call", status), code


async def test_a_late_analysis_comes_long_after_the_end(emulator):
    call = await emulator.place("+12125550116")
    await emulator.finished(call.call_id)
    ended = emulator.receiver.body(call.call_id, "call_ended")["event_timestamp"]

    assert (await analyzed_at(emulator, call.call_id)) - ended >= 60_000 / 400


async def analyzed_at(emulator, call_id):
    for _ in range(100):
        if "call_analyzed" in emulator.receiver.events(call_id):
            break
        await asyncio.sleep(0.01)
    return emulator.receiver.body(call_id, "call_analyzed")["event_timestamp"]


async def test_copies_of_a_duplicated_event_differ_in_event_timestamp_alone(emulator, wait_until):
    call = await emulator.place("+12125550110")

    async def all_six():
        return len(emulator.receiver.webhooks) == 6

    await wait_until(all_six)
    first, second = (json.loads(body) for body, _ in emulator.receiver.webhooks[:2])
    assert first.pop("event_timestamp") != second.pop("event_timestamp")
    assert first == second
    assert emulator.receiver.body(call.call_id, "call_started")["call"]["call_status"] == "ongoing"


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
    assert sorted(MAGIC_NUMBERS) == [f"{code:02}" for code in range(27)]


def test_a_dialogue_has_one_answer_for_each_function():
    for code, scenario in SCENARIOS.items():
        assert [text for _, text in DIALOGUES[scenario.dialogue]].count(SAY) == len(scenario.functions), code
