"""Custom functions: the agent's tool posts in the middle of a talk."""

import asyncio
import json
import re
import secrets
from typing import Any

from ringback_emulator.call_book import Call, CallBook, ToolCall
from ringback_emulator.call_object import call_in_progress
from ringback_emulator.outgoing import TIMEOUT_S, Answer, SignedPost, encoded, now_ms
from ringback_emulator.scenarios import SCENARIOS
from ringback_emulator.script import Tool

# Retell shows the agent at most this much of an answer.
RESULT_LIMIT_CHARS = 15_000
_TRIES = 3
_PAUSE_S = 0.2
# Enough for the function to have read the request, not always enough to have answered it.
_IMPATIENCE_S = 0.02
_TEMPLATE = re.compile(r"\{\{(\w+)\}\}")


class Toolbox:
    """Calls the functions below `functions_url` and writes invocation and result into the call's transcript."""

    def __init__(self, book: CallBook, post: SignedPost, functions_url: str | None) -> None:
        self._book = book
        self._post = post
        self._functions_url = functions_url

    async def use(self, call: Call, index: int) -> None:
        """Uses the scenario's tool of that index, once: a call interrupted here by a restart posts the same invocation
        again, and one that was answered is not posted again."""
        if self._functions_url is None:
            return
        tool = SCENARIOS[call.scenario].tools[index]
        if len(call.tool_calls) == index:
            self._book.write(
                "tool_called",
                call_id=call.call_id,
                tool_call_id=f"tool_call_{secrets.token_hex(3)}",
                name=tool.name,
                args=_filled(tool.args, call.dynamic_variables or {}),
            )
        tool_call = call.tool_calls[index]
        if tool_call.content is None:
            answer = await self._answer(f"{self._functions_url.rstrip('/')}/{tool.name}", call, tool_call, tool)
            self._book.write(
                "tool_answered",
                call_id=call.call_id,
                tool_call_id=tool_call.tool_call_id,
                content=_content(answer)[:RESULT_LIMIT_CHARS],
                successful=answer.accepted,
            )

    async def _answer(self, url: str, call: Call, tool_call: ToolCall, tool: Tool) -> Answer:
        body = _body(call, tool_call, tool)
        answer = Answer(0, "")
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_S * attempt)
            if tool.first_answer_lost and attempt == 0:
                # An answer that came in time is lost as well, or a quick function would never be asked twice.
                await self._post(url, body, _IMPATIENCE_S)
                continue
            answer = await self._post(url, body, TIMEOUT_S)
            if answer.accepted:
                break
        return answer


def _filled(args: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    """The arguments with their templates filled; one without its variable stays as it is, as Retell leaves it."""
    return {
        key: _TEMPLATE.sub(lambda found: variables.get(found[1], found[0]), value) if isinstance(value, str) else value
        for key, value in args.items()
    }


def _body(call: Call, tool_call: ToolCall, tool: Tool) -> bytes:
    if tool.args_at_root:
        return encoded(tool_call.args)
    span_ms = max(1, now_ms() - (call.connected_ms or 0))
    return encoded({"name": tool_call.name, "call": call_in_progress(call, span_ms), "args": tool_call.args})


def _content(answer: Answer) -> str:
    if answer.accepted:
        return answer.text
    return json.dumps({"status": "error", "message": f"function answered {answer.status}: {answer.text[:200]}"})
