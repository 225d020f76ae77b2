"""Custom functions: what the agent posts in the middle of a talk, and what becomes of the answer."""

import json
from dataclasses import replace

from retell.lib.webhook_auth import verify


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


EASTERN = ("update_timezone", {"time_zone": "Eastern"})
FIELDS = ("field_writeback", {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}})
NOTE = ("note_writeback", {"note": "Prefers e-mail over letters; the contract runs until May."})
QUALIFIED = ("send_abt_event", {"type": "lead_qualified", "data": {"interest": "high", "seats": 12}})
CALLBACK = ("reschedule_call", {"when": "tomorrow at 3pm", "reason": "busy at the moment"})
SOME_DAY = ("reschedule_call", {"when": "tomorrow", "reason": "busy at the moment"})
NEVER_MIND = ("delete_scheduled_task", {"reason": "the person no longer wants a callback"})
INTERESTED = ("set_disposition", {"code": "interested", "note": "wants the contract today"})


WISHES = {
    "17": [FIELDS],
    "18": [NOTE],
    "19": [QUALIFIED],
    "20": [EASTERN, CALLBACK],
    "21": [CALLBACK, NEVER_MIND],
    "22": [EASTERN, FIELDS, NOTE, QUALIFIED, CALLBACK, NEVER_MIND, INTERESTED],
    "25": [SOME_DAY, CALLBACK],
}


async def test_the_number_chooses_what_the_agent_asks_for(world):
    calls = {code: (await world.place(f"+121255501{code}")).call_id for code in WISHES}
    for code, wished in WISHES.items():
        body = await world.finished(calls[code])
        assert [(posted["name"], posted["args"]) for posted in world.recorder.tool_bodies(calls[code])] == wished
        results = [item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result"]
        assert [result["successful"] for result in results] == [True] * len(wished)
        assert (await world.sdk.call.retrieve(calls[code])).call_id == calls[code]


async def test_the_transcript_grows_from_one_function_to_the_next(world):
    world.recorder.tool_says = [f"Answer number {n}." for n in range(7)]
    call = await world.place("+12125550122")
    body = await world.finished(call.call_id)
    earlier: list = []
    for number, posted in enumerate(world.recorder.tool_bodies()):
        items = texts_and_ids(posted["call"]["transcript_with_tool_calls"])
        assert items[: len(earlier)] == earlier and len(items) > len(earlier)
        assert items[-1] == ("tool_call_invocation", posted["name"])
        assert [role for role, _ in items].count("tool_call_result") == number
        assert posted["call"]["transcript"].count("Answer number") == number
        earlier = items
    assert texts_and_ids(body["transcript_with_tool_calls"])[: len(earlier)] == earlier
    ids = [posted["call"]["transcript_with_tool_calls"][-1]["tool_call_id"] for posted in world.recorder.tool_bodies()]
    assert len(set(ids)) == 7


def texts_and_ids(items):
    return [(item["role"], item.get("name") or item["content"]) for item in items]


async def test_a_function_that_times_out_is_tried_again_with_the_same_body(world):
    call = await world.place("+12125550123")
    body = await world.finished(call.call_id)
    assert [name for name, _, _ in world.recorder.tools] == ["note_writeback"] * 2
    assert len({raw for _, raw, _ in world.recorder.tools}) == 1
    assert len({headers["x-retell-signature"] for _, _, headers in world.recorder.tools}) == 2
    results = [item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result"]
    assert [result["successful"] for result in results] == [True]


async def test_arguments_at_the_root_come_without_a_name_and_a_call_and_are_signed(world):
    call = await world.place("+12125550124", retell_llm_dynamic_variables={"ringback_attempt_id": "a1"})
    body = await world.finished(call.call_id)
    ((name, raw, headers),) = world.recorder.tools
    expected = {**INTERESTED[1], "ringback_attempt_id": "a1"}
    assert (name, json.loads(raw)) == ("set_disposition", expected)
    assert verify(raw.decode(), "key_webhook_badge", headers["x-retell-signature"])
    invocation = next(item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_invocation")
    assert json.loads(invocation["arguments"]) == expected


async def test_a_template_without_its_variable_is_posted_as_it_is(world):
    call = await world.place("+12125550124")
    await world.finished(call.call_id)
    (posted,) = world.recorder.tool_bodies()
    assert posted["ringback_attempt_id"] == "{{ringback_attempt_id}}"


async def test_a_refusal_is_spoken_and_answered_by_the_person_before_the_second_try(world):
    world.recorder.tool_says = ["At what time should we call you?", "Done, tomorrow at three."]
    call = await world.place("+12125550125")
    transcript = (await world.finished(call.call_id))["transcript"]
    asked = transcript.index("Agent: At what time should we call you?\nUser: Oh, sure. Tomorrow at 3pm, then.\n")
    assert asked < transcript.index("Agent: Done, tomorrow at three.\n")
    second = world.recorder.tool_bodies()[1]["call"]["transcript"]
    assert "At what time should we call you?" in second and "Done" not in second


async def test_after_a_restart_only_a_function_without_an_answer_is_posted_again(settings, open_world, wait_until):
    slow = replace(settings, speed=60.0)
    async with open_world(slow) as first:
        call = await first.place("+12125550122")

        async def three_posted():
            return len(first.recorder.tools) >= 3

        await wait_until(three_posted)
    async with open_world(slow) as second:
        body = await second.finished(call.call_id)
    posted = [
        item["call"]["transcript_with_tool_calls"][-1]["tool_call_id"]
        for item in first.recorder.tool_bodies() + second.recorder.tool_bodies()
    ]
    invoked = [item["name"] for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_invocation"]
    assert len(set(posted)) == len(invoked) == len(set(invoked)) == 7
    assert len(posted) <= 8
