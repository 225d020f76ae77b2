"""Call objects: what the API and the webhooks contain at each stage of a call."""

import pytest


async def test_a_fresh_call_is_registered_and_satisfies_the_strict_sdk(emulator):
    call = await emulator.place("+12125550100", metadata={"a": 1}, retell_llm_dynamic_variables={"first_name": "Ada"})
    assert (call.call_type, call.call_status, call.agent_id) == ("phone_call", "registered", "agent_sales")
    assert call.metadata == {"a": 1}
    assert call.retell_llm_dynamic_variables == {"first_name": "Ada"}
    assert call.start_timestamp is None
    assert call.call_analysis is None


async def test_a_human_call_has_a_believable_record(emulator):
    call = await emulator.place("+12125550100", retell_llm_dynamic_variables={"first_name": "Ada"})
    body = await emulator.finished(call.call_id)
    assert body["transcript"].startswith("Agent: Hi Ada, ")
    assert "\nUser: " in body["transcript"]
    assert body["duration_ms"] == body["end_timestamp"] - body["start_timestamp"] > 0
    assert body["call_cost"]["combined_cost"] == pytest.approx(
        sum(p["cost"] for p in body["call_cost"]["product_costs"])
    )
    assert body["transcript_object"][-1]["words"][-1]["end"] <= body["duration_ms"] / 1000
    assert {"e2e", "llm", "tts"} <= body["latency"].keys()
    assert body["recording_url"].startswith("https://")
    assert await emulator.get(call.call_id) == body


async def test_an_analyzed_human_call_weighs_what_a_real_one_does(emulator, wait_until):
    call = await emulator.place("+12125550100")

    async def delivered():
        return "call_analyzed" in emulator.receiver.events(call.call_id)

    await wait_until(delivered)
    assert 10_000 < len(emulator.receiver.webhooks[-1][0]) < 20_000


async def test_the_stages_of_a_call_grow_as_the_platform_says(emulator, wait_until):
    call = await emulator.place("+12125550100", metadata={"k": "v"})

    async def delivered():
        return len(set(emulator.receiver.events(call.call_id))) == 3

    await wait_until(delivered)
    started = emulator.receiver.body(call.call_id, "call_started")
    ended = emulator.receiver.body(call.call_id, "call_ended")
    analyzed = emulator.receiver.body(call.call_id, "call_analyzed")
    assert started["call"]["call_status"] == "ongoing"
    assert started["call"]["metadata"] == {"k": "v"}
    assert "end_timestamp" not in started["call"]
    assert "call_analysis" not in ended["call"]
    assert ended["call"]["transcript"]
    assert analyzed["call"].items() >= ended["call"].items()
    assert started["event_timestamp"] <= ended["event_timestamp"] <= analyzed["event_timestamp"]


@pytest.mark.parametrize("code", ["01", "02", "06", "14"])
async def test_a_call_that_never_connected_has_no_times_and_an_empty_analysis(emulator, code):
    call = await emulator.place(f"+121255501{code}")
    body = await emulator.finished(call.call_id)
    assert not {"start_timestamp", "end_timestamp", "recording_url"} & body.keys()
    assert (body["duration_ms"], body["transcript"], body["call_cost"]["combined_cost"]) == (0, "", 0)
    assert body["call_analysis"] == {
        "call_summary": "",
        "user_sentiment": "Unknown",
        "call_successful": False,
        "custom_analysis_data": {},
    }


async def test_a_voicemail_with_a_message_has_an_agent_utterance_and_one_without_has_none(emulator):
    left, silent = await emulator.place("+12125550103"), await emulator.place("+12125550104")
    message, nothing = await emulator.finished(left.call_id), await emulator.finished(silent.call_id)
    assert [utterance["role"] for utterance in message["transcript_object"]] == ["agent"]
    assert nothing["transcript"] == ""
    assert nothing["transcript_object"] == []
    assert message["call_analysis"]["in_voicemail"] is nothing["call_analysis"]["in_voicemail"] is True


async def test_an_early_hang_up_has_one_user_turn(emulator):
    call = await emulator.place("+12125550105")
    body = await emulator.finished(call.call_id)
    assert [utterance["role"] for utterance in body["transcript_object"]] == ["agent", "user"]
    assert body["call_analysis"]["in_voicemail"] is False


async def test_a_transfer_names_its_destination(emulator):
    call = await emulator.place("+12125550115")
    assert (await emulator.finished(call.call_id))["transfer_destination"].startswith("+1")


async def test_a_call_with_basic_attributes_only_has_no_transcript_and_no_recording(emulator):
    for setting, has_content in (("everything", True), ("basic_attributes_only", False)):
        override = {"agent": {"data_storage_setting": setting}}
        body = await emulator.finished((await emulator.place("+12125550100", agent_override=override)).call_id)
        assert body["data_storage_setting"] == setting
        assert ("transcript" in body, "recording_url" in body) == (has_content, has_content)
