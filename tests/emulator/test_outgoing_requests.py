"""Webhooks and custom functions: signature, headers, retries, and the use of the answers."""

import json
from dataclasses import replace

import pytest
from retell.lib.webhook_auth import verify

from ringback_emulator.outgoing_requests import retell_signature

KEY = "key_test_0123456789abcdef0123456789abcdef"


VECTORS = [
    (
        '{"event":"call_ended","call":{"call_id":"call_0123456789abcdef0123456789a","call_status":"not_connected",'
        '"disconnection_reason":"dial_no_answer"}}',
        1760000000000,
        "9d39fd7fbea1f64f32290ea6d4592b3d0b181c61eb139fa93f25d309f9a5bd45",
    ),
    (
        '{"event":"call_analyzed","call":{"call_id":"call_ünïcödé","call_analysis":{"call_summary":'
        '"Termin für Müller ✓"}}}',
        1760000123456,
        "52faafae9b3a83dc4d7de1205df08303adb6b182c3c394f65a14ee0d2afa0c46",
    ),
    ("", 1760000999999, "e0495dff5ea2e4fa22d4f95d4d623912b959252b2be541f56dff1bd2e3258a80"),
]


@pytest.mark.parametrize(("body", "timestamp_ms", "digest"), VECTORS)
def test_published_vectors_are_reproduced(body, timestamp_ms, digest):
    assert retell_signature(body.encode(), KEY, timestamp_ms) == f"v={timestamp_ms},d={digest}"


async def test_the_sdk_accepts_every_webhook_of_a_call_with_the_webhook_key_only(emulator):
    call = await emulator.place("+12125550100")
    await emulator.finished(call.call_id)
    for body, headers in emulator.receiver.webhooks:
        assert verify(body.decode(), "key_webhook_badge", headers["x-retell-signature"])
        assert not verify(body.decode(), "key_rest", headers["x-retell-signature"])
    assert emulator.receiver.webhooks


async def test_the_sdk_accepts_the_signature_of_a_tool_call(emulator):
    call = await emulator.place("+12125550107")
    await emulator.finished(call.call_id)
    ((_, body, headers),) = emulator.receiver.functions
    assert verify(body.decode(), "key_webhook_badge", headers["x-retell-signature"])


async def test_a_webhook_looks_like_retells(emulator):
    call = await emulator.place("+12125550101")
    await emulator.finished(call.call_id)
    _, headers = emulator.receiver.webhooks[0]
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "axios/1.15.2"


async def test_a_refused_webhook_is_sent_again_with_the_same_body_and_a_new_signature(emulator, wait_until):
    emulator.receiver.rejections["call_ended"] = 2
    call = await emulator.place("+12125550101")

    async def three_times():
        return emulator.receiver.events(call.call_id).count("call_ended") == 3

    await wait_until(three_times)
    ended = [(body, headers) for body, headers in emulator.receiver.webhooks if b'"call_ended"' in body]
    assert len({body for body, _ in ended}) == 1
    assert len({headers["x-retell-signature"] for _, headers in ended}) == 3


async def test_a_webhook_is_dropped_after_three_retries_and_delays_no_other(emulator, wait_until):
    emulator.receiver.rejections["call_started"] = 99
    call = await emulator.place("+12125550100")

    async def four_times():
        return emulator.receiver.events(call.call_id).count("call_started") == 4

    await wait_until(four_times)
    events = emulator.receiver.events(call.call_id)
    assert events.index("call_ended") < len(events) - 1 - events[::-1].index("call_started")

    async def all_delivered():
        return [one for one in records_of(emulator.state_dir) if one.get("delivery") == "call_started#0"]

    # The record is written after the fourth answer has arrived.
    assert len(await wait_until(all_delivered)) == 1
    assert emulator.receiver.events(call.call_id).count("call_started") == 4


def records_of(state_dir):
    return [json.loads(line) for line in (state_dir / "calls.jsonl").read_text().splitlines()]


async def test_a_call_may_name_its_own_webhook_url_and_events(emulator, wait_until):
    override = {"agent": {"webhook_url": f"{emulator.receiver.url}/elsewhere"}}
    away = await emulator.place("+12125550101", agent_override=override)
    few = await emulator.place("+12125550101", agent_override={"agent": {"webhook_events": ["call_analyzed"]}})
    await emulator.finished(away.call_id)
    await emulator.finished(few.call_id)

    async def told() -> list[str]:
        return emulator.receiver.events(few.call_id)

    # A webhook is sent after the analysis can be read.
    assert await wait_until(told) == ["call_analyzed"]
    assert emulator.receiver.events(away.call_id) == []


async def test_dropped_webhooks_never_arrive_and_the_api_still_returns_the_end(emulator):
    await emulator.set_faults(webhooks="drop")
    call = await emulator.place("+12125550100")
    assert (await emulator.finished(call.call_id))["call_status"] == "ended"
    assert emulator.receiver.webhooks == []


async def test_a_reschedule_is_posted_nested_and_its_pending_invocation_comes_last(emulator):
    call = await emulator.place("+12125550107", metadata={"ringback_attempt_id": "a1"})
    await emulator.finished(call.call_id)
    ((name, raw, _),) = emulator.receiver.functions
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


async def test_the_answer_becomes_a_result_and_is_spoken(emulator):
    call = await emulator.place("+12125550107")
    body = await emulator.finished(call.call_id)
    items = body["transcript_with_tool_calls"]
    index = next(i for i, item in enumerate(items) if item["role"] == "tool_call_invocation")
    result = items[index + 1]
    assert (result["role"], result["successful"]) == ("tool_call_result", True)
    assert result["tool_call_id"] == items[index]["tool_call_id"]
    assert json.loads(result["content"])["ok"] is True
    assert items[index + 2]["content"] == "I will call you tomorrow at three."
    assert (await emulator.sdk.call.retrieve(call.call_id)).call_id == call.call_id


async def test_a_failing_function_is_tried_three_times_with_the_same_tool_call_id(emulator):
    emulator.receiver.function_statuses = [500, 503, 500]
    call = await emulator.place("+12125550107")
    body = await emulator.finished(call.call_id)
    ids = {
        json.loads(raw)["call"]["transcript_with_tool_calls"][-1]["tool_call_id"]
        for _, raw, _ in emulator.receiver.functions
    }
    assert (len(emulator.receiver.functions), len(ids)) == (3, 1)
    result = next(item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result")
    assert result["successful"] is False


EASTERN = ("update_timezone", {"time_zone": "Eastern"})


FIELDS = ("field_writeback", {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}})


NOTE = ("note_writeback", {"note": "Prefers e-mail over letters; the contract runs until May."})


QUALIFIED = ("send_abt_event", {"type": "lead_qualified", "data": {"interest": "high", "seats": 12}})


CALLBACK = ("reschedule_call", {"when": "tomorrow at 3pm", "reason": "busy at the moment"})


VAGUE_CALLBACK = ("reschedule_call", {"when": "tomorrow", "reason": "busy at the moment"})


CANCEL_CALLBACK = ("delete_scheduled_task", {"reason": "the person no longer wants a callback"})


INTERESTED = ("set_disposition", {"code": "interested", "note": "wants the contract today"})


EXPECTED_FUNCTIONS = {
    "17": [FIELDS],
    "18": [NOTE],
    "19": [QUALIFIED],
    "20": [EASTERN, CALLBACK],
    "21": [CALLBACK, CANCEL_CALLBACK],
    "22": [EASTERN, FIELDS, NOTE, QUALIFIED, CALLBACK, CANCEL_CALLBACK, INTERESTED],
    "25": [VAGUE_CALLBACK, CALLBACK],
}


async def test_the_number_selects_the_functions(emulator):
    calls = {code: (await emulator.place(f"+121255501{code}")).call_id for code in EXPECTED_FUNCTIONS}
    for code, expected in EXPECTED_FUNCTIONS.items():
        body = await emulator.finished(calls[code])
        assert [
            (posted["name"], posted["args"]) for posted in emulator.receiver.function_bodies(calls[code])
        ] == expected
        results = [item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result"]
        assert [result["successful"] for result in results] == [True] * len(expected)
        assert (await emulator.sdk.call.retrieve(calls[code])).call_id == calls[code]


async def test_the_transcript_grows_from_one_function_to_the_next(emulator):
    emulator.receiver.function_says = [f"Answer number {n}." for n in range(7)]
    call = await emulator.place("+12125550122")
    body = await emulator.finished(call.call_id)
    earlier: list = []
    for number, posted in enumerate(emulator.receiver.function_bodies()):
        items = texts_and_ids(posted["call"]["transcript_with_tool_calls"])
        assert items[: len(earlier)] == earlier and len(items) > len(earlier)
        assert items[-1] == ("tool_call_invocation", posted["name"])
        assert [role for role, _ in items].count("tool_call_result") == number
        assert posted["call"]["transcript"].count("Answer number") == number
        earlier = items
    assert texts_and_ids(body["transcript_with_tool_calls"])[: len(earlier)] == earlier
    ids = [
        posted["call"]["transcript_with_tool_calls"][-1]["tool_call_id"]
        for posted in emulator.receiver.function_bodies()
    ]
    assert len(set(ids)) == 7


def texts_and_ids(items):
    return [(item["role"], item.get("name") or item["content"]) for item in items]


async def test_a_function_that_times_out_is_tried_again_with_the_same_body(emulator):
    call = await emulator.place("+12125550123")
    body = await emulator.finished(call.call_id)
    assert [name for name, _, _ in emulator.receiver.functions] == ["note_writeback"] * 2
    assert len({raw for _, raw, _ in emulator.receiver.functions}) == 1
    assert len({headers["x-retell-signature"] for _, _, headers in emulator.receiver.functions}) == 2
    results = [item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_result"]
    assert [result["successful"] for result in results] == [True]


async def test_arguments_at_the_root_come_without_a_name_and_a_call_and_are_signed(emulator):
    call = await emulator.place("+12125550124", retell_llm_dynamic_variables={"ringback_attempt_id": "a1"})
    body = await emulator.finished(call.call_id)
    ((name, raw, headers),) = emulator.receiver.functions
    expected = {**INTERESTED[1], "ringback_attempt_id": "a1"}
    assert (name, json.loads(raw)) == ("set_disposition", expected)
    assert verify(raw.decode(), "key_webhook_badge", headers["x-retell-signature"])
    invocation = next(item for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_invocation")
    assert json.loads(invocation["arguments"]) == expected


async def test_a_template_without_its_variable_is_posted_as_it_is(emulator):
    call = await emulator.place("+12125550124")
    await emulator.finished(call.call_id)
    (posted,) = emulator.receiver.function_bodies()
    assert posted["ringback_attempt_id"] == "{{ringback_attempt_id}}"


async def test_a_refusal_is_spoken_and_answered_by_the_person_before_the_second_try(emulator):
    emulator.receiver.function_says = ["At what time should we call you?", "Done, tomorrow at three."]
    call = await emulator.place("+12125550125")
    transcript = (await emulator.finished(call.call_id))["transcript"]
    asked = transcript.index("Agent: At what time should we call you?\nUser: Oh, sure. Tomorrow at 3pm, then.\n")
    assert asked < transcript.index("Agent: Done, tomorrow at three.\n")
    second = emulator.receiver.function_bodies()[1]["call"]["transcript"]
    assert "At what time should we call you?" in second and "Done" not in second


async def test_after_a_restart_only_a_function_without_an_answer_is_posted_again(settings, open_emulator, wait_until):
    slow = replace(settings, speed=60.0)
    async with open_emulator(slow) as first:
        call = await first.place("+12125550122")

        async def three_posted():
            return len(first.receiver.functions) >= 3

        await wait_until(three_posted)
    async with open_emulator(slow) as second:
        body = await second.finished(call.call_id)
    posted = [
        item["call"]["transcript_with_tool_calls"][-1]["tool_call_id"]
        for item in first.receiver.function_bodies() + second.receiver.function_bodies()
    ]
    invoked = [item["name"] for item in body["transcript_with_tool_calls"] if item["role"] == "tool_call_invocation"]
    assert len(set(posted)) == len(invoked) == len(set(invoked)) == 7
    assert len(posted) <= 8
