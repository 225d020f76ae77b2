"""Custom functions: what the agent posts in the middle of a talk, and what becomes of the answer."""

import json


async def test_a_reschedule_is_posted_nested_and_its_pending_invocation_comes_last(world):
    call = await world.place("+12125550107", metadata={"ringback_attempt_id": "a1"})
    await world.finished(call.call_id)
    ((name, raw, _),) = world.recorder.tools
    body = json.loads(raw)
    assert name == body["name"] == "reschedule_call"
    assert body["args"] == {"when": "tomorrow at 3pm", "reason": "busy at the moment"}
    assert body["call"]["call_id"] == call.call_id
    assert body["call"]["call_status"] == "ongoing"
    assert body["call"]["metadata"] == {"ringback_attempt_id": "a1"}
    pending = body["call"]["transcript_with_tool_calls"][-1]
    assert (pending["role"], pending["name"]) == ("tool_call_invocation", "reschedule_call")
    assert pending["tool_call_id"]
    assert "tomorrow at 3pm" in body["call"]["transcript"]


async def test_the_answer_becomes_a_result_and_is_spoken(world):
    call = await world.place("+12125550107")
    body = await world.finished(call.call_id)
    items = body["transcript_with_tool_calls"]
    index = next(i for i, item in enumerate(items) if item["role"] == "tool_call_invocation")
    result = items[index + 1]
    assert (result["role"], result["successful"]) == ("tool_call_result", True)
    assert result["tool_call_id"] == items[index]["tool_call_id"]
    assert json.loads(result["content"])["ok"] is True
    assert items[index + 2]["content"] == "I will call you tomorrow at three."
    assert (await world.sdk.call.retrieve(call.call_id)).call_id == call.call_id


async def test_a_failing_function_is_tried_three_times_with_the_same_tool_call_id(world):
    world.recorder.tool_statuses = [500, 503, 500]
    call = await world.place("+12125550107")
    body = await world.finished(call.call_id)
    ids = {
        json.loads(raw)["call"]["transcript_with_tool_calls"][-1]["tool_call_id"] for _, raw, _ in world.recorder.tools
    }
    assert (len(world.recorder.tools), len(ids)) == (3, 1)
    result = next(item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result")
    assert result["successful"] is False


async def test_a_person_who_opts_out_cannot_be_called_again_with_the_do_not_call_check(world):
    call = await world.place("+12125550108")
    await world.finished(call.call_id)
    assert json.loads(world.recorder.tools[0][1])["args"]["code"] == "do_not_call"
    again = {"from_number": "+14155550199", "to_number": "+12125550108"}
    assert (await world.post({**again, "honor_internal_dnc": True})).status_code == 400
    assert len(await world.rings()) == 1
    assert (await world.post(again)).status_code == 201
