"""Calls as Retell reports them, webhook by webhook, in the shape of captures from 2026. Playing fills in the ids."""

import json
from typing import Any

Body = dict[str, Any]

START_MS = 1796144406500  # 2026-12-01T17:00:06.500Z, six and a half seconds after the dial
END_MS = START_MS + 83_000

TALK = "Agent: Hello, is this Ada?\nUser: Yes.\nAgent: Great.\nUser: Bye.\n"
TALK_LIST = [
    {"role": "agent", "content": "Hello, is this Ada?", "words": [{"word": "Hello", "start": 0.1, "end": 0.4}]},
    {"role": "user", "content": "Yes.", "words": []},
    {"role": "agent", "content": "Great.", "words": []},
    {"role": "user", "content": "Bye.", "words": []},
]
GREETING = "Agent: Hi Ada, this is Grace. Please call us back.\n"

_CALL = {
    "call_type": "phone_call",
    "agent_id": "agent_5a6b7c8d9e0f1a2b3c4d5e6f70",
    "agent_version": 4,
    "direction": "outbound",
    "from_number": "+14155550199",
    "to_number": "+14155550100",
    "retell_llm_dynamic_variables": {"first_name": "Ada"},
    "custom_sip_headers": {"X-RetellAI-Direction": "outbound"},
}
_STARTED = {**_CALL, "call_status": "ongoing", "start_timestamp": START_MS}
_OVER = {
    **_CALL,
    "call_status": "ended",
    "start_timestamp": START_MS,
    "end_timestamp": END_MS,
    "duration_ms": 83000,
    "recording_url": "https://recordings.invalid/a.wav",
    "latency": {"e2e": {"p50": 812.5, "num": 3}},
    "opt_out_sensitive_data_storage": False,
}
_NOT_CONNECTED = {
    **_CALL,
    "call_status": "not_connected",
    "duration_ms": 0,
    "transcript": "",
    "call_cost": {"combined_cost": 0, "product_costs": []},
    "opt_out_sensitive_data_storage": False,
}
_EMPTY_ANALYSIS = {
    "call_summary": "",
    "user_sentiment": "Unknown",
    "call_successful": False,
    "custom_analysis_data": {},
}


def analysis(successful: bool | None, **more: Any) -> Body:
    return {
        "call_summary": "A short talk.",
        "in_voicemail": False,
        "user_sentiment": "Positive",
        "call_successful": successful,
        "custom_analysis_data": {"Wants a demo?": True},
        **more,
    }


def connected(reason: str, analysed: Body, **more: Any) -> dict[str, Body]:
    """A call that was answered. `more` stands in call_ended and call_analyzed; the cost comes with the analysis."""
    over = {**_OVER, "disconnection_reason": reason, "transcript": TALK, "transcript_object": TALK_LIST, **more}
    cost = {"combined_cost": 14.5, "product_costs": [], "total_duration_seconds": 83}
    return {
        "call_started": _STARTED,
        # The status lags behind, as in the sample of Retell's own documentation.
        "call_ended": {**over, "call_status": "registered"},
        "call_analyzed": {**over, "call_cost": cost, "call_analysis": analysed},
    }


def unconnected(reason: str, **more: Any) -> dict[str, Body]:
    """A call that never connected: no call_started, no times, an empty analysis."""
    over = {**_NOT_CONNECTED, "disconnection_reason": reason, **more}
    return {"call_ended": over, "call_analyzed": {**over, "call_analysis": _EMPTY_ANALYSIS}}


def _machine(transcript: str, *turns: tuple[str, str]) -> Body:
    return {"transcript": transcript, "transcript_object": [{"role": r, "content": c, "words": []} for r, c in turns]}


LEFT_MESSAGE = _machine(GREETING, ("agent", "Hi Ada, this is Grace. Please call us back."))
SILENCE = _machine("")
WITHHELD = {
    "transcript": None,
    "transcript_object": None,
    "recording_url": None,
    "data_storage_setting": "basic_attributes_only",
}

COMPLETED = connected("user_hangup", analysis(True))
PARTIAL = connected("agent_hangup", analysis(False))
VOICEMAIL = connected("voicemail_reached", analysis(False, in_voicemail=True), **LEFT_MESSAGE)
NO_ANSWER = unconnected("dial_no_answer")
BUSY = unconnected("dial_busy")
INVALID = unconnected("invalid_destination")
DECLINED = unconnected("user_declined")
TRANSFERRED = connected("call_transfer", analysis(True), transfer_destination="+14155550188")
OPT_OUT = connected("user_requested_dnc", analysis(False))
BROKEN_TALK = connected("error_unknown", analysis(None))
BROKEN_DIAL = unconnected("error_unknown", call_status="error")
CAPACITY = unconnected("concurrency_limit_reached", call_status="error")


def play(recording: dict[str, Body], event: str, provider_call_id: str, marks: Body | None, **changes: Any) -> str:
    """The raw webhook body. `marks` is the metadata; None leaves it out."""
    call = {**recording[event], "call_id": provider_call_id, **changes}
    if marks is not None:
        call["metadata"] = marks
    return json.dumps({"event": event, "call": call, "event_timestamp": END_MS + 2000})
