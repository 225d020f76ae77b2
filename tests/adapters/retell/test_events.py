"""Recorded webhook bodies in, call reports out."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.adapters.retell.events import report_from_call, report_from_webhook
from ringback.domain.attempt import DialFact, Party
from ringback.domain.errors import Permanent
from ringback.domain.provider_report import Analysis, ProviderStatus, ReportKind

MARKS = {
    "ringback_call_id": "0192f0c0-0000-7000-8000-00000000ca11",
    "ringback_attempt_id": "0192f0c0-0000-7000-8000-0000000a77e1",
    "ringback_instance": "inst-7",
    "campaign": "spring",
}

STARTED = {
    "event": "call_started",
    "event_timestamp": 1764000001200,
    "call": {
        "call_id": "call_3f1b6a9e0c5d4278a1b2c3d4e5f",
        "call_type": "phone_call",
        "agent_id": "agent_5a6b7c8d9e0f1a2b3c4d5e6f70",
        "agent_version": 4,
        "call_status": "ongoing",
        "direction": "outbound",
        "from_number": "+14155550199",
        "to_number": "+14155550100",
        "metadata": MARKS,
        "retell_llm_dynamic_variables": {"first_name": "Ada"},
        "start_timestamp": 1764000001150,
    },
}

ANALYZED = {
    "event": "call_analyzed",
    "event_timestamp": 1764000086000,
    "call": {
        **STARTED["call"],
        "call_status": "ended",
        "end_timestamp": 1764000084150,
        "duration_ms": 83000,
        "disconnection_reason": "user_hangup",
        "transcript": "Agent: Hello, is this Ada?\nUser: Yes.\nAgent: Great. \nUser: Bye.\n",
        "transcript_object": [
            {"role": "agent", "content": "Hello, is this Ada?", "words": [{"word": "Hello", "start": 0.1, "end": 0.4}]},
            {"role": "user", "content": "Yes.", "words": [{"word": "Yes", "start": 1.9, "end": 2.1}]},
            {"role": "agent", "content": "Great. ", "words": []},
            {"role": "user", "content": "Bye.", "words": []},
        ],
        "transcript_with_tool_calls": [
            {"role": "agent", "content": "Hello, is this Ada?", "words": []},
            {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "book", "arguments": "{}"},
        ],
        "recording_url": "https://recordings.invalid/a.wav",
        "call_cost": {"combined_cost": 14.5, "total_duration_seconds": 83, "product_costs": []},
        "latency": {"e2e": {"p50": 812.5, "num": 3}},
        "call_analysis": {
            "call_summary": "Ada confirmed.",
            "in_voicemail": False,
            "user_sentiment": "Positive",
            "call_successful": True,
            "custom_analysis_data": {"Wants a demo?": True},
        },
        "a_field_of_next_year": [[[1]]],
    },
}

# As captured in 2026 for a number that does not exist: no timestamps, an empty analysis, no in_voicemail.
NEVER_CONNECTED = {
    "event": "call_analyzed",
    "event_timestamp": 1764000004000,
    "call": {
        "call_id": "call_77777777777777777777777777a",
        "call_type": "phone_call",
        "call_status": "not_connected",
        "direction": "outbound",
        "from_number": "iatizeia",
        "to_number": "+14155550106",
        "duration_ms": 0,
        "custom_sip_headers": {"X-RetellAI-Direction": "outbound"},
        "disconnection_reason": "invalid_destination",
        "opt_out_sensitive_data_storage": False,
        "call_analysis": {
            "call_summary": "",
            "user_sentiment": "Unknown",
            "call_successful": False,
            "custom_analysis_data": {},
        },
    },
}


def webhook(event="call_analyzed", **changes):
    return json.dumps({"event": event, "call": {**ANALYZED["call"], **changes}})


def test_a_started_call_says_who_and_when():
    report = report_from_webhook(json.dumps(STARTED))
    assert report.kind is ReportKind.STARTED
    assert report.event_name == "call_started"
    assert report.provider_call_id == "call_3f1b6a9e0c5d4278a1b2c3d4e5f"
    assert (report.call_id, report.attempt_id, report.instance) == (
        "0192f0c0-0000-7000-8000-00000000ca11",
        "0192f0c0-0000-7000-8000-0000000a77e1",
        "inst-7",
    )
    assert report.started_at == datetime(2025, 11, 24, 16, 0, 1, 150000, tzinfo=UTC)
    assert report.status is ProviderStatus.ONGOING
    assert (report.ended_at, report.end_facts, report.user_turns, report.analysis) == (None, None, None, None)


def test_a_started_call_may_lack_its_start():
    body = {"event": "call_started", "call": {"call_id": "call_1", "call_status": "ongoing"}}
    report = report_from_webhook(json.dumps(body))
    assert (report.kind, report.started_at, report.direction) == (ReportKind.STARTED, None, "outbound")


def test_an_analyzed_conversation_is_read_whole():
    report = report_from_webhook(json.dumps(ANALYZED).encode())
    assert report.kind is ReportKind.ANALYZED
    assert (report.end_facts.dial, report.end_facts.party) == (DialFact.ANSWERED, Party.HUMAN)
    assert (report.agent_spoke, report.user_turns, report.transcript_withheld) == (True, 2, False)
    assert (report.duration_ms, report.cost_cents) == (83000, 14.5)
    assert report.latency == {"e2e": {"p50": 812.5, "num": 3}}
    assert report.recording_url == "https://recordings.invalid/a.wav"
    assert report.analysis == Analysis("Ada confirmed.", "Positive", True, False, {"Wants a demo?": True})
    assert (report.from_number, report.to_number) == ("+14155550199", "+14155550100")


def test_a_number_that_does_not_exist_is_an_analysis_without_a_conversation():
    report = report_from_webhook(json.dumps(NEVER_CONNECTED))
    assert report.end_facts.dial is DialFact.INVALID
    assert report.status is ProviderStatus.NOT_CONNECTED
    assert (report.started_at, report.ended_at, report.duration_ms) == (None, None, 0)
    assert (report.agent_spoke, report.user_turns) == (False, None)
    assert report.analysis == Analysis(None, "Unknown", False, None, {})
    assert report.attempt_id is None


def test_call_ended_keeps_no_analysis_although_some_send_one():
    assert report_from_webhook(webhook("call_ended")).analysis is None


def test_call_analyzed_without_an_analysis_still_says_that_it_came():
    assert report_from_webhook(webhook(call_analysis=None)).analysis == Analysis()


def test_a_late_status_in_call_ended_changes_nothing_of_its_kind():
    report = report_from_webhook(webhook("call_ended", call_status="registered"))
    assert (report.kind, report.status) == (ReportKind.ENDED, ProviderStatus.REGISTERED)


def test_an_unknown_event_status_and_reason_are_kept_as_words():
    report = report_from_webhook(webhook("transcript_updated", call_status="melted", disconnection_reason="moon_rose"))
    assert (report.kind, report.event_name) == (ReportKind.OTHER, "transcript_updated")
    assert (report.status, report.disconnection_reason) == (None, "moon_rose")
    assert (report.end_facts.dial, report.end_facts.connected) == (DialFact.PROVIDER_ERROR, None)


def test_turns_are_counted_in_the_text_when_the_list_is_absent():
    report = report_from_webhook(webhook(transcript_object=None, transcript_with_tool_calls=None))
    assert (report.agent_spoke, report.user_turns) == (True, 2)


def test_the_scrubbed_transcript_and_recording_are_used_instead():
    report = report_from_webhook(
        webhook(
            transcript=None,
            transcript_object=None,
            transcript_with_tool_calls=None,
            recording_url=None,
            data_storage_setting="everything_except_pii",
            scrubbed_transcript_with_tool_calls=[
                {"role": "agent", "content": "Hi"},
                {"role": "user", "content": "[x]"},
            ],
            scrubbed_recording_url="https://recordings.invalid/scrubbed.wav",
        )
    )
    assert (report.user_turns, report.transcript, report.transcript_withheld) == (1, "Agent: Hi\nUser: [x]", False)
    assert report.recording_url == "https://recordings.invalid/scrubbed.wav"


@pytest.mark.parametrize(
    "setting", [{"data_storage_setting": "basic_attributes_only"}, {"opt_out_sensitive_data_storage": True}]
)
@pytest.mark.parametrize("transcript", [None, ""])
def test_a_transcript_withheld_by_the_storage_setting_is_not_a_silence(setting, transcript):
    report = report_from_webhook(
        webhook(transcript=transcript, transcript_object=None, transcript_with_tool_calls=None, **setting)
    )
    assert (report.transcript_withheld, report.user_turns) == (True, None)


def test_a_transcript_that_is_there_was_not_withheld():
    report = report_from_webhook(webhook(data_storage_setting="basic_attributes_only"))
    assert (report.transcript_withheld, report.user_turns) == (False, 2)


def test_an_empty_transcript_is_no_user_turn():
    report = report_from_webhook(webhook(transcript="", transcript_object=[], transcript_with_tool_calls=[]))
    assert (report.agent_spoke, report.user_turns, report.transcript_withheld) == (False, 0, False)


def test_blank_utterances_and_transfer_targets_are_not_turns():
    spoken = [
        {"role": "agent", "content": " "},
        {"role": "user", "content": ""},
        {"role": "transfer_target", "content": "Hello, sales."},
    ]
    report = report_from_webhook(webhook(transcript_object=spoken))
    assert (report.agent_spoke, report.user_turns) == (False, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", "none"),
        ("start_timestamp", "yesterday"),
        ("start_timestamp", 10**30),
        ("end_timestamp", -5),
        ("duration_ms", True),
        ("transcript", 7),
        ("transcript_object", [None, 3, {"role": 7}]),
        ("transcript_with_tool_calls", {}),
        ("call_cost", {"combined_cost": "free"}),
        ("call_cost", {"combined_cost": 10**400}),
        ("latency", []),
        ("call_analysis", {"call_summary": 1, "call_successful": "yes", "custom_analysis_data": []}),
        ("call_status", None),
        ("disconnection_reason", {}),
        ("direction", 1),
    ],
)
def test_a_part_of_a_wrong_type_does_not_cost_the_report(field, value):
    report = report_from_webhook(webhook(**{field: value}))
    assert report.provider_call_id == ANALYZED["call"]["call_id"]
    assert report.duration_ms in (83000, None)


def test_half_an_emoji_and_a_nul_are_replaced_because_postgresql_refuses_them():
    body = webhook(transcript="XX", transcript_object=None).replace(
        "XX", "User: \\ud83d and \\u0000\\nUser: \\ud83d\\ude00"
    )
    report = report_from_webhook(body)
    assert report.transcript == "User: \ufffd and \ufffd\nUser: 😀"
    assert report.attempt_id == MARKS["ringback_attempt_id"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{",
        '{"event":"call_ended"}',
        '{"event":"call_ended","call":{}}',
        '{"event":"call_ended","call":{"call_id":""}}',
        '{"event":"call_ended","call":{"call_id":7}}',
        '{"event":7,"call":{"call_id":"call_1"}}',
        '{"event":"","call":{"call_id":"call_1"}}',
        '{"call":{"call_id":"call_1"}}',
        '{"event":"chat_started","chat":{"chat_id":"chat_1"}}',
        b"\xff\xfe",
        '{"event":"call_ended","call":' + "[" * 100_000,
        '{"event":"call_ended","call":{"call_id":"c","x":' + "[" * 5000 + "]" * 5000 + "}}",
    ],
)
def test_a_body_without_an_event_and_a_call_id_is_permanent(body):
    with pytest.raises(Permanent):
        report_from_webhook(body)


def test_a_polled_call_is_a_snapshot_with_its_analysis():
    report = report_from_call(ANALYZED["call"], ReportKind.SNAPSHOT)
    assert (report.kind, report.event_name) == (ReportKind.SNAPSHOT, "snapshot")
    assert report.analysis.successful is True
    assert report_from_call({**ANALYZED["call"], "call_analysis": {}}, ReportKind.SNAPSHOT).analysis is None


def test_a_polled_call_and_a_webhook_say_the_same():
    from dataclasses import replace

    heard = report_from_webhook(json.dumps(ANALYZED))
    asked = report_from_call(ANALYZED["call"], ReportKind.ANALYZED)
    assert replace(asked, event_name=heard.event_name) == heard


@pytest.mark.parametrize("call", [None, [], "call", {}, {"call_id": None}])
def test_a_value_that_is_no_call_is_permanent(call):
    with pytest.raises(Permanent):
        report_from_call(call, ReportKind.SNAPSHOT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(ANALYZED["call"])), json_values, max_size=5))
def test_any_fields_are_a_report_or_permanent(changes):
    try:
        report = report_from_webhook(webhook(**changes))
    except Permanent:
        assert not isinstance(changes.get("call_id", ""), str) or not changes["call_id"]
    else:
        assert report.provider_call_id


@pytest.mark.parametrize("call", ['{"call_id":"call_1"}', '{"call_id":"call_1","p":"\\u0000"}', None])
def test_a_name_that_no_index_can_hold_is_permanent(call):
    """The inbox could not record it, so the message would be tried again in vain."""
    rest = "" if call is None else f',"call":{call}'
    with pytest.raises(Permanent, match="too long") as raised:
        report_from_webhook(f'{{"event":"{"e" * 251}"{rest}}}')
    assert type(raised.value) is Permanent
    with pytest.raises(Permanent, match="too long"):
        report_from_webhook(f'{{"event":"call_ended","call":{{"call_id":"{"c" * 251}"}}}}')
    assert report_from_webhook(f'{{"event":"{"e" * 250}","call":{{"call_id":"{"c" * 250}"}}}}').event_name == "e" * 250
