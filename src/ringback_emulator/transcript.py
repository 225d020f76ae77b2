"""The three forms of a transcript, made on demand from the scenario's dialogue and what the tools answered."""

import json
from typing import Any

from ringback_emulator.call_book import Call, ToolCall
from ringback_emulator.dialogues import DIALOGUES
from ringback_emulator.scenarios import SCENARIOS
from ringback_emulator.turns import SAY, Turn

_UNDETERMINED_SAY = "That is noted. Thank you for telling me."


def hangs_up_on_voicemail(agent_id: str) -> bool:
    """Agents are told apart by their id alone: one with "hangup" in it never leaves a message."""
    return "hangup" in agent_id


def transcript_parts(call: Call, span_ms: int) -> dict[str, Any]:
    """`transcript`, `transcript_object` and `transcript_with_tool_calls`, spread over `span_ms` of audio.

    While a tool has not answered, everything ends with its invocation, as in the body Retell posts to the tool.
    """
    script = _dialogue(call)
    # A tool is called right before the turn in which the agent speaks its answer.
    places = [index for index, (_, text) in enumerate(script) if text == SAY]
    tools = list(zip(places, call.tool_calls, strict=False))
    pending = [index for index, tool_call in tools if tool_call.content is None]
    turns = _spoken(script[: pending[0]] if pending else script, call)
    utterances = _utterances(turns, span_ms / 1000)
    with_tools: list[dict[str, Any]] = list(utterances)
    for index, tool_call in reversed(tools):
        with_tools[index:index] = _tool_items(tool_call)
    return {
        "transcript": "".join(f"{role.capitalize()}: {text}\n" for role, text in turns),
        "transcript_object": utterances,
        "transcript_with_tool_calls": with_tools,
    }


def _dialogue(call: Call) -> tuple[Turn, ...]:
    dialogue = SCENARIOS[call.scenario].dialogue
    if dialogue == "voicemail_message" and hangs_up_on_voicemail(call.agent_id):
        dialogue = "voicemail_hangup"
    return DIALOGUES[dialogue]


def _spoken(script: tuple[Turn, ...], call: Call) -> list[Turn]:
    name = (call.dynamic_variables or {}).get("first_name", "there")
    answers = (tool_call.content for tool_call in call.tool_calls)
    return [(role, _say(next(answers, None)) if text == SAY else text.replace("{name}", name)) for role, text in script]


def _say(content: str | None) -> str:
    """What the tool's answer tells the agent to say."""
    try:
        answer = json.loads(content or "null")
    except ValueError:
        return _UNDETERMINED_SAY
    say = answer.get("say") if isinstance(answer, dict) else None
    return say if isinstance(say, str) and say else _UNDETERMINED_SAY


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


def _tool_items(tool_call: ToolCall) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {
            "role": "tool_call_invocation",
            "tool_call_id": tool_call.tool_call_id,
            "name": tool_call.name,
            "arguments": json.dumps(tool_call.args),
            "type": "custom",
        }
    ]
    if tool_call.content is not None:
        items.append(
            {
                "role": "tool_call_result",
                "tool_call_id": tool_call.tool_call_id,
                "content": tool_call.content,
                "successful": tool_call.successful,
            }
        )
    return items
