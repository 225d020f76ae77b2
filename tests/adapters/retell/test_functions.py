"""Recorded bodies of custom functions and of the inbound webhook."""

import json

import pytest

from ringback.adapters.retell.functions import InboundCallWebhook, inbound_reply, parse_inbound_call, parse_tool_call
from ringback.domain.errors import Permanent
from ringback.domain.provider_report import ReportKind

ATTEMPT = "0192f0c0-0000-7000-8000-0000000a77e1"
NESTED = {
    "name": "reschedule_call",
    "call": {
        "call_id": "call_3f1b6a9e0c5d4278a1b2c3d4e5f",
        "call_type": "phone_call",
        "call_status": "ongoing",
        "metadata": {"ringback_attempt_id": ATTEMPT},
        "transcript_with_tool_calls": [
            {"role": "tool_call_invocation", "tool_call_id": "t_1", "name": "reschedule_call", "arguments": "{}"},
            {"role": "tool_call_result", "tool_call_id": "t_1", "content": "{}"},
            {"role": "user", "content": "No, at three.", "words": []},
            {"role": "tool_call_invocation", "tool_call_id": "t_2", "name": "reschedule_call", "arguments": "{}"},
            {"role": "tool_call_invocation", "tool_call_id": "t_3", "name": "note_writeback", "arguments": "{}"},
        ],
    },
    "args": {"when": "tomorrow at 3pm", "ringback_attempt_id": "{{ringback_attempt_id}}"},
}


def nested(**changes):
    return json.dumps({**NESTED, **changes})


def test_a_nested_body_is_known_by_its_call_and_the_last_invocation_of_its_name():
    tool = parse_tool_call(nested())
    assert tool.args == {"when": "tomorrow at 3pm"}
    assert (tool.provider_call_id, tool.attempt_id) == ("call_3f1b6a9e0c5d4278a1b2c3d4e5f", ATTEMPT)
    assert tool.tool_call_id == "t_2"
    assert tool.key("reschedule_call") == "call_3f1b6a9e0c5d4278a1b2c3d4e5f:reschedule_call:t_2"
    assert tool.report.kind is ReportKind.TOOL
    assert tool.report.analysis is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": None},
        {"name": 7},
        {"args": {}},
        {"args": {"note": "a", "ringback_attempt_id": ATTEMPT}},
        {"args": {"note": "\N{GRINNING FACE} né", "deep": [[[1.5, -0.0, 2**70, None, True]]]}},
        {"call": {**NESTED["call"], "direction": 7, "latency": [], "metadata": "x", "start_timestamp": 1.5}},
        {"call": {**NESTED["call"], "call_id": "playground"}},
        {"call": {**NESTED["call"], "call_id": ""}},
        {"call": {**NESTED["call"], "transcript_with_tool_calls": [{"role": "agent", "content": 5}, None]}},
        {"call": {**NESTED["call"], "call_analysis": {"in_voicemail": True}, "call_cost": {"combined_cost": 7}}},
    ],
)
def test_a_usual_body_is_read_as_one_that_must_be_made_safe(changes):
    """The arguments beside `call` and `args` do not count, but with a NUL among them a body is read with care."""
    beside = {} if changes.get("args") == {} else {"beside": "\x00"}
    assert parse_tool_call(nested(**changes)) == parse_tool_call(nested(**changes, **beside))


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_the_database_rejects_is_replaced(text):
    call = {**NESTED["call"], "metadata": {"ringback_call_id": text}, "transcript": text, "latency": {"e2e": text}}
    tool = parse_tool_call(nested(call=call, args={text: [text]}))
    safe = "a\N{REPLACEMENT CHARACTER}b"
    assert tool.args == {safe: [safe]}
    assert (tool.report.call_id, tool.report.transcript, tool.report.latency) == (safe, safe, {"e2e": safe})


@pytest.mark.parametrize("depth", [33, 900])
def test_deep_arguments_are_read_or_refused(depth):
    deep = '{"a":' * depth + "1" + "}" * depth
    body = nested(args="DEEP").replace('"DEEP"', deep)
    try:
        tool = parse_tool_call(body)
    except Permanent:
        assert depth > 100
    else:
        assert json.dumps(tool.args) == deep.replace(":", ": ")


def invocation(id_: str, arguments: object, name: str = "set_disposition") -> dict:
    return {"role": "tool_call_invocation", "tool_call_id": id_, "name": name, "arguments": arguments}


def test_of_two_invocations_in_one_turn_each_is_known_by_its_arguments():
    turn = [
        invocation("t_1", '{"code": "interested", "ringback_attempt_id": "{{ringback_attempt_id}}"}'),
        invocation("t_2", {"code": "do_not_call"}),
        invocation("t_3", "{}", "note_writeback"),
    ]
    call = {"call_id": "call_1", "transcript_with_tool_calls": turn}
    for code, id_ in (("interested", "t_1"), ("do_not_call", "t_2"), ("wrong_number", "t_2")):
        args = {"code": code, "execution_message": "One moment.", "ringback_attempt_id": ATTEMPT}
        assert parse_tool_call(nested(name="set_disposition", call=call, args=args)).tool_call_id == id_


def test_an_invocation_that_has_its_result_is_not_the_one_that_calls_now():
    turn = [invocation("t_1", '{"code": "interested"}'), {"role": "tool_call_result", "tool_call_id": "t_1"}]
    call = {"call_id": "call_1", "transcript_with_tool_calls": turn}
    args = {"code": "interested"}
    assert parse_tool_call(nested(name="set_disposition", call=call, args=args)).tool_call_id is None
    turn.append(invocation("t_2", "no JSON"))
    assert parse_tool_call(nested(name="set_disposition", call=call, args=args)).tool_call_id == "t_2"


@pytest.mark.parametrize("items", [None, "x", [None, 5, {}], [{"role": "tool_call_invocation", "tool_call_id": []}]])
def test_a_transcript_that_cannot_be_read_names_no_invocation(items):
    call = {"call_id": "call_1", "transcript_with_tool_calls": items}
    assert parse_tool_call(nested(call=call, args={})).tool_call_id is None


def test_without_an_invocation_the_key_is_the_content_of_the_arguments():
    call = {"call_id": "call_1"}
    one = parse_tool_call(nested(call=call, args={"a": 1, "b": 2}))
    same = parse_tool_call(nested(call=call, args={"b": 2, "a": 1}))
    other = parse_tool_call(nested(call=call, args={"a": 1}))
    assert one.tool_call_id is None
    assert one.key("x") == same.key("x") != other.key("x")
    assert one.key("x") != one.key("y")


def test_arguments_at_the_root_are_known_by_the_constant_argument():
    tool = parse_tool_call(json.dumps({"when": "tomorrow at 3pm", "ringback_attempt_id": ATTEMPT}))
    assert tool.args == {"when": "tomorrow at 3pm"}
    assert (tool.provider_call_id, tool.attempt_id, tool.report) == (None, ATTEMPT, None)
    assert tool.key("reschedule_call").startswith(f"{ATTEMPT}:reschedule_call:")


@pytest.mark.parametrize("value", ["", "{{ringback_attempt_id}}", None, 7])
def test_an_unusable_constant_argument_belongs_to_no_call(value):
    tool = parse_tool_call(json.dumps({"note": "n", "ringback_attempt_id": value}))
    assert (tool.args, tool.attempt_id, tool.key("note_writeback")) == ({"note": "n"}, None, None)


def test_an_argument_named_call_alone_does_not_make_a_nested_body():
    tool = parse_tool_call(json.dumps({"call": {"call_id": "call_1"}, "ringback_attempt_id": ATTEMPT}))
    assert tool.args == {"call": {"call_id": "call_1"}}
    assert tool.provider_call_id is None


def test_the_playground_belongs_to_no_call():
    body = nested(call={"call_id": "playground", "call_type": "web_call"}, tool_mocks=[])
    tool = parse_tool_call(body)
    assert tool.playground
    assert (tool.provider_call_id, tool.attempt_id, tool.key("x")) == (None, None, None)


def test_a_nested_call_without_an_id_falls_back_to_the_constant_argument():
    tool = parse_tool_call(nested(call={}, args={"ringback_attempt_id": ATTEMPT}))
    assert (tool.provider_call_id, tool.attempt_id, tool.report) == (None, ATTEMPT, None)


@pytest.mark.parametrize("body", ["", "[]", "null", "{", b"\xff", "[" * 100_000])
def test_a_body_that_is_no_object_is_permanent(body):
    with pytest.raises(Permanent):
        parse_tool_call(body)
    with pytest.raises(Permanent):
        parse_inbound_call(body)


def test_an_inbound_call_is_read_with_and_without_a_call_id():
    body = {
        "event": "call_inbound",
        "event_timestamp": 1764000000000,
        "call_inbound": {
            "agent_id": "agent_1",
            "agent_version": 2,
            "from_number": "anonymous",
            "to_number": "+14155550199",
        },
    }
    assert parse_inbound_call(json.dumps(body)) == InboundCallWebhook("anonymous", "+14155550199", None, "agent_1")
    assert parse_inbound_call(json.dumps(body)).is_dated
    del body["event_timestamp"]
    assert not parse_inbound_call(json.dumps(body)).is_dated
    body["call_inbound"] = {"from_number": "+14155550100", "to_number": "+14155550199", "call_id": "call_9"}
    assert parse_inbound_call(json.dumps(body)) == InboundCallWebhook("+14155550100", "+14155550199", "call_9", None)
    body["call_inbound"] = {}
    assert parse_inbound_call(json.dumps(body)) == InboundCallWebhook("", "", None, None)


@pytest.mark.parametrize("body", ['{"event":"call_ended","call_inbound":{}}', '{"event":"call_inbound"}'])
def test_another_event_is_no_inbound_call(body):
    with pytest.raises(Permanent):
        parse_inbound_call(body)


def test_the_answer_to_an_inbound_call_holds_strings_only():
    assert inbound_reply({"is_known": True, "tries": 2, "name": "Ada", "x": None}, {"k": 1}, "agent_2") == {
        "call_inbound": {
            "dynamic_variables": {"is_known": "true", "tries": "2", "name": "Ada"},
            "metadata": {"k": 1},
            "override_agent_id": "agent_2",
        }
    }
    assert "override_agent_id" not in inbound_reply({}, {})["call_inbound"]
