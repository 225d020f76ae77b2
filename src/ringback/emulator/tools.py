"""Custom functions: the agent's tool posts in the middle of a talk."""

import asyncio
import json
import secrets

from ringback.emulator.call_book import Call, CallBook, ToolCall
from ringback.emulator.call_object import call_in_progress
from ringback.emulator.outgoing import SignedPost, encoded, now_ms
from ringback.emulator.scenarios import Tool

# Retell shows the agent at most this much of an answer.
RESULT_LIMIT_CHARS = 15_000
_TRIES = 3
_PAUSE_S = 0.2


class Toolbox:
    """Calls a function below `functions_url` and writes invocation and result into the call's transcript."""

    def __init__(self, book: CallBook, post: SignedPost, functions_url: str | None) -> None:
        self._book = book
        self._post = post
        self._functions_url = functions_url

    async def use(self, call: Call, tool: Tool) -> None:
        """A call that was interrupted here by a restart posts the same invocation again."""
        if self._functions_url is None:
            return
        if not call.tool_calls:
            tool_call_id = f"tool_call_{secrets.token_hex(3)}"
            self._book.write(
                "tool_called", call_id=call.call_id, tool_call_id=tool_call_id, name=tool.name, args=tool.args
            )
        tool_call = call.tool_calls[-1]
        if tool_call.content is None:
            content, successful = await self._answer(call, tool_call)
            self._book.write(
                "tool_answered",
                call_id=call.call_id,
                tool_call_id=tool_call.tool_call_id,
                content=content[:RESULT_LIMIT_CHARS],
                successful=successful,
            )

    async def _answer(self, call: Call, tool_call: ToolCall) -> tuple[str, bool]:
        span_ms = max(1, now_ms() - (call.connected_ms or 0))
        body = encoded({"name": tool_call.name, "call": call_in_progress(call, span_ms), "args": tool_call.args})
        url = f"{(self._functions_url or '').rstrip('/')}/{tool_call.name}"
        status, text = 0, ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_S * attempt)
            status, text = await self._post(url, body)
            if 200 <= status < 300:
                return text, True
        return json.dumps({"status": "error", "message": f"function answered {status}: {text[:200]}"}), False
