"""Retell's call object at each stage of a call, as its API returns it and its webhooks carry it.

Transcript, cost and latency are made on demand. They are the same for the same seed and call.
"""

import json
import math
import random
from typing import Any

from ringback_emulator.call_store import Call, FunctionCall, Stage
from ringback_emulator.dialogues import DIALOGUES, SAY, Turn
from ringback_emulator.scenarios import SCENARIOS

_TRANSCRIPTS = ("transcript", "transcript_object", "transcript_with_tool_calls")
_RECORDINGS = "https://recordings.emulator.invalid"
_TRANSFER_DESTINATION = "+18005550123"
_DEFAULT_SAY = "That is noted. Thank you for telling me."
# Cents per second, in the order of magnitude of the published price list.
_UNIT_PRICES = {"retell_platform": 0.0917, "elevenlabs_tts": 0.0667, "gpt_4o_mini": 0.01, "us_telephony": 0.025}
# (fastest, slowest) response in milliseconds.
_LATENCY_RANGES = {"e2e": (620, 1450), "llm": (280, 700), "tts": (110, 320), "asr": (20, 90)}


def call_object(call: Call, stage: Stage, seed: int) -> dict[str, Any]:
    """Return the phone-call object (retell-sdk 6.2.13, types/phone_call_response.py) as it was at `stage`."""
    optional = {
        "metadata": call.metadata,
        "retell_llm_dynamic_variables": call.dynamic_variables,
        "custom_sip_headers": call.custom_sip_headers,
    }
    status: str = stage
    if stage in ("ended", "analyzed"):
        status = "not_connected" if call.connected_ms is None else "ended"
    body: dict[str, Any] = {
        "call_id": call.call_id,
        "call_type": "phone_call",
        "agent_id": call.agent_id,
        "agent_version": call.agent_version,
        "agent_name": "Emulated agent",
        "call_status": status,
        "direction": call.direction,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "data_storage_setting": call.data_storage_setting,
        "opt_in_signed_url": False,
        **{key: value for key, value in optional.items() if value is not None},
    }
    if call.connected_ms is not None and stage != "registered":
        body["start_timestamp"] = call.connected_ms
    if stage in ("ended", "analyzed"):
        body |= _ending(call, seed)
    if stage == "analyzed":
        analysis = SCENARIOS[call.scenario].analysis
        if analysis is None or call.connected_ms is None:
            # A call that never connected has the empty form, without `in_voicemail`.
            empty = {"call_summary": "", "user_sentiment": "Unknown", "call_successful": False}
            body["call_analysis"] = empty | {"custom_analysis_data": {}}
        else:
            body["call_analysis"] = {
                "call_summary": analysis.summary,
                "in_voicemail": analysis.in_voicemail,
                "user_sentiment": analysis.sentiment,
                "call_successful": analysis.successful and call.disconnection_reason != "manual_stopped",
                "custom_analysis_data": analysis.custom,
            }
    return body


def light_call_object(call: Call, seed: int) -> dict[str, Any]:
    """Return an item of list-calls: the current object without its transcripts."""
    return {key: value for key, value in call_object(call, call.stage, seed).items() if key not in _TRANSCRIPTS}


def call_in_progress(call: Call, span_ms: int) -> dict[str, Any]:
    """Return the object that a custom function gets, `span_ms` of audio after the conversation began."""
    return call_object(call, "ongoing", 0) | _transcripts(call, span_ms)


def hangs_up_on_voicemail(agent_id: str) -> bool:
    """An agent with "hangup" in its id never leaves a message."""
    return "hangup" in agent_id


def _ending(call: Call, seed: int) -> dict[str, Any]:
    duration_ms = 0 if call.connected_ms is None or call.ended_ms is None else call.ended_ms - call.connected_ms
    body: dict[str, Any] = {
        "disconnection_reason": call.disconnection_reason,
        "duration_ms": duration_ms,
        "call_cost": _call_cost(duration_ms),
    }
    if call.disconnection_reason == "call_transfer":
        body["transfer_destination"] = _TRANSFER_DESTINATION
    if call.connected_ms is None:
        return body | {key: "" if key == "transcript" else [] for key in _TRANSCRIPTS}
    body["end_timestamp"] = call.ended_ms
    if call.data_storage_setting == "basic_attributes_only":
        return body
    rng = random.Random(f"{seed}:{call.call_id}")
    transcripts = _transcripts(call, duration_ms)
    body |= transcripts | {
        "recording_url": f"{_RECORDINGS}/{call.call_id}/recording.wav",
        "recording_multi_channel_url": f"{_RECORDINGS}/{call.call_id}/recording_multichannel.wav",
        "public_log_url": f"{_RECORDINGS}/{call.call_id}/public.log",
        "telephony_identifier": {"twilio_call_sid": f"CA{rng.getrandbits(128):032x}"},
        "collected_dynamic_variables": {},
    }
    turns = sum(utterance["role"] == "agent" for utterance in transcripts["transcript_object"])
    if turns:
        # Milliseconds per kind of latency, one value for each turn of the agent.
        body["latency"] = {}
        for kind, span in _LATENCY_RANGES.items():
            values = [rng.randint(*span) for _ in range(turns)]
            ordered = sorted(values)
            quantiles = {f"p{q}": ordered[math.ceil(turns * q / 100) - 1] for q in (50, 90, 95, 99)}
            extremes = {"min": ordered[0], "max": ordered[-1]}
            body["latency"][kind] = {**quantiles, **extremes, "num": turns, "values": values}
        tokens = [rng.randint(900, 1800) for _ in range(turns)]
        body["llm_token_usage"] = {"values": tokens, "average": round(sum(tokens) / turns, 2), "num_requests": turns}
    return body


def _call_cost(duration_ms: int) -> dict[str, Any]:
    """Return costs in cents. A call that never connected costs nothing and lists no products."""
    seconds = math.ceil(duration_ms / 1000)
    prices = _UNIT_PRICES if seconds else {}
    products = [
        {"product": name, "unit_price": price, "cost": round(price * seconds, 4)} for name, price in prices.items()
    ]
    return {
        "combined_cost": round(sum(price * seconds for price in prices.values()), 4),
        "product_costs": products,
        "total_duration_seconds": seconds,
        "total_duration_unit_price": round(sum(prices.values()), 4),
    }


def _transcripts(call: Call, span_ms: int) -> dict[str, Any]:
    """Return the three forms of the transcript, spread over `span_ms` of audio.

    While a function has not answered, each form ends with its call, as in the body that Retell posts.
    """
    name = SCENARIOS[call.scenario].dialogue
    if name == "voicemail_message" and hangs_up_on_voicemail(call.agent_id):
        name = "voicemail_hangup"
    dialogue = DIALOGUES[name]
    # A function is called directly before the turn in which the agent speaks its answer.
    places = [index for index, (_, text) in enumerate(dialogue) if text == SAY]
    function_calls = list(zip(places, call.tool_calls, strict=False))
    pending = [index for index, function_call in function_calls if function_call.content is None]
    first_name = (call.dynamic_variables or {}).get("first_name", "there")
    contents = (function_call.content for function_call in call.tool_calls)
    turns: list[Turn] = [
        (role, _say(next(contents, None)) if text == SAY else text.replace("{name}", first_name))
        for role, text in (dialogue[: pending[0]] if pending else dialogue)
    ]
    utterances = _utterances(turns, span_ms / 1000)
    with_tool_calls: list[dict[str, Any]] = list(utterances)
    for index, function_call in reversed(function_calls):
        with_tool_calls[index:index] = _tool_call_items(function_call)
    return {
        "transcript": "".join(f"{role.capitalize()}: {text}\n" for role, text in turns),
        "transcript_object": utterances,
        "transcript_with_tool_calls": with_tool_calls,
    }


def _say(content: str | None) -> str:
    """Return the text that the function's answer tells the agent to say."""
    try:
        answer = json.loads(content or "null")
    except ValueError:
        return _DEFAULT_SAY
    say = answer.get("say") if isinstance(answer, dict) else None
    return say if isinstance(say, str) and say else _DEFAULT_SAY


def _utterances(turns: list[Turn], span_s: float) -> list[dict[str, Any]]:
    word_s = span_s / max(1, sum(len(text.split()) for _, text in turns))
    spoken, utterances = 0, []
    for response_id, (role, text) in enumerate(turns):
        words = []
        for word in text.split():
            start, spoken = spoken * word_s, spoken + 1
            words.append({"word": word, "start": round(start, 3), "end": round(start + word_s * 0.9, 3)})
        utterance: dict[str, Any] = {"role": role, "content": text, "words": words}
        if role == "agent":
            utterance["metadata"] = {"response_id": response_id}
        utterances.append(utterance)
    return utterances


def _tool_call_items(function_call: FunctionCall) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {
            "role": "tool_call_invocation",
            "tool_call_id": function_call.tool_call_id,
            "name": function_call.name,
            "arguments": json.dumps(function_call.args),
            "type": "custom",
        }
    ]
    if function_call.content is not None:
        items.append(
            {
                "role": "tool_call_result",
                "tool_call_id": function_call.tool_call_id,
                "content": function_call.content,
                "successful": function_call.successful,
            }
        )
    return items
