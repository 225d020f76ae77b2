"""Retell's call object of a call at each stage of its life, as its API answers it and its webhooks carry it."""

import random
from typing import Any

from ringback_emulator.call_book import Call, Stage
from ringback_emulator.call_metrics import call_cost, latency, llm_token_usage
from ringback_emulator.scenarios import SCENARIOS
from ringback_emulator.transcript import transcript_parts

_HEAVY = ("transcript", "transcript_object", "transcript_with_tool_calls")
_FILES = "https://recordings.emulator.invalid"
_TRANSFER_DESTINATION = "+18005550123"


def call_object(call: Call, stage: Stage, seed: int) -> dict[str, Any]:
    """The phone-call object (retell-sdk 6.2.13, types/phone_call_response.py) as it stood at `stage`."""
    body = _identity(call, stage)
    if call.connected_ms is not None and stage != "registered":
        body["start_timestamp"] = call.connected_ms
    if stage in ("ended", "analyzed"):
        body |= _ending(call, seed)
    if stage == "analyzed":
        body["call_analysis"] = call_analysis(call)
    return body


def light_call_object(call: Call, seed: int) -> dict[str, Any]:
    """An item of list-calls: the current object without its transcripts."""
    return {key: value for key, value in call_object(call, call.stage, seed).items() if key not in _HEAVY}


def call_in_progress(call: Call, span_ms: int) -> dict[str, Any]:
    """The object a custom function gets in the middle of the talk, `span_ms` of audio after it began."""
    return call_object(call, "ongoing", 0) | transcript_parts(call, span_ms)


def call_status(call: Call, stage: Stage) -> str:
    if stage in ("registered", "ongoing"):
        return stage
    return "not_connected" if call.connected_ms is None else "ended"


def duration_ms(call: Call) -> int:
    if call.connected_ms is None or call.ended_ms is None:
        return 0
    return call.ended_ms - call.connected_ms


def call_analysis(call: Call) -> dict[str, Any]:
    """`call_analysis`; a call that never connected has the empty shape, without `in_voicemail`."""
    verdict = SCENARIOS[call.scenario].verdict
    if verdict is None or call.connected_ms is None:
        return {"call_summary": "", "user_sentiment": "Unknown", "call_successful": False, "custom_analysis_data": {}}
    return {
        "call_summary": verdict.summary,
        "in_voicemail": verdict.in_voicemail,
        "user_sentiment": verdict.sentiment,
        "call_successful": verdict.successful and call.disconnection_reason != "manual_stopped",
        "custom_analysis_data": verdict.custom,
    }


def _identity(call: Call, stage: Stage) -> dict[str, Any]:
    given = {
        "metadata": call.metadata,
        "retell_llm_dynamic_variables": call.dynamic_variables,
        "custom_sip_headers": call.custom_sip_headers,
    }
    return {
        "call_id": call.call_id,
        "call_type": "phone_call",
        "agent_id": call.agent_id,
        "agent_version": call.agent_version,
        "agent_name": "Emulated agent",
        "call_status": call_status(call, stage),
        "direction": call.direction,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "data_storage_setting": call.data_storage_setting,
        "opt_in_signed_url": False,
        **{key: value for key, value in given.items() if value is not None},
    }


def _ending(call: Call, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "disconnection_reason": call.disconnection_reason,
        "duration_ms": duration_ms(call),
        "call_cost": call_cost(duration_ms(call)),
    }
    if call.disconnection_reason == "call_transfer":
        body["transfer_destination"] = _TRANSFER_DESTINATION
    if call.connected_ms is None:
        return body | {key: "" if key == "transcript" else [] for key in _HEAVY}
    body["end_timestamp"] = call.ended_ms
    if call.data_storage_setting == "basic_attributes_only":
        return body
    return body | _content(call, seed)


def _content(call: Call, seed: int) -> dict[str, Any]:
    dice = random.Random(f"{seed}:{call.call_id}")
    parts = transcript_parts(call, duration_ms(call))
    content = parts | {
        "recording_url": f"{_FILES}/{call.call_id}/recording.wav",
        "recording_multi_channel_url": f"{_FILES}/{call.call_id}/recording_multichannel.wav",
        "public_log_url": f"{_FILES}/{call.call_id}/public.log",
        "telephony_identifier": {"twilio_call_sid": f"CA{dice.getrandbits(128):032x}"},
        "collected_dynamic_variables": {},
    }
    turns = sum(utterance["role"] == "agent" for utterance in parts["transcript_object"])
    if turns:
        content |= {"latency": latency(dice, turns), "llm_token_usage": llm_token_usage(dice, turns)}
    return content
