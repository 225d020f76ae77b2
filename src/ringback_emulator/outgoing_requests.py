"""Signed requests of the emulated Retell: webhooks, and the custom functions that an agent calls."""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from ringback_emulator.call_object import call_in_progress, call_object
from ringback_emulator.call_store import Call, CallStore, FunctionCall, Stage
from ringback_emulator.emulated_time import EmulatedTime
from ringback_emulator.scenarios import SCENARIOS, AgentFunction
from ringback_emulator.settings import RetellEmulatorSettings, RetellFaults

Spawn = Callable[[Coroutine[Any, Any, None]], None]

# Retell gives a webhook ten seconds by default (webhook_timeout_ms), an inbound webhook too. Functions get the same.
_TIMEOUT_S = 10.0
# Emulated seconds before the second, third and fourth try. Retell documents three retries, not their spacing.
_WEBHOOK_PAUSES_S = (1.0, 2.0, 4.0)
_SHORTEST_PAUSE_S = 0.2
_FUNCTION_TRIES = 3
_FUNCTION_PAUSE_S = 0.2
# Enough for the function to have read the request, not always enough to have answered it.
_LOST_ANSWER_TIMEOUT_S = 0.02
# Retell shows the agent at most this many characters of an answer.
_RESULT_LIMIT = 15_000
_TEMPLATE = re.compile(r"\{\{(\w+)\}\}")
_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/plain, */*",
    "user-agent": "axios/1.15.2",
}
_EVENT_STAGES: dict[str, Stage] = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "analyzed"}
_COPIES = {"never": 0, "once": 1, "twice_reversed": 2}


def encoded(body: dict[str, Any]) -> bytes:
    """Return compact JSON with its characters unescaped, as JavaScript writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def retell_signature(body: bytes, key: str, timestamp_ms: int) -> str:
    """Return the value of `x-retell-signature`: HMAC-SHA256 over the body followed directly by the timestamp.

    Source: retell-sdk 6.2.13, lib/webhook_auth.py. No code that verifies it is shared.
    """
    digest = hmac.new(key.encode(), body + str(timestamp_ms).encode(), hashlib.sha256).hexdigest()
    return f"v={timestamp_ms},d={digest}"


class PostResult(NamedTuple):
    """The answer to a post. Without an answer the status is 0 and the text is the failure's name."""

    status: int
    text: str

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300


class SignedPost:
    """Posts a body with a signature of the current time."""

    def __init__(self, session: aiohttp.ClientSession, key: str, time: EmulatedTime) -> None:
        self._session = session
        self._key = key
        self.time = time

    async def __call__(self, url: str, body: bytes, answer_timeout_s: float = _TIMEOUT_S) -> PostResult:
        """Give up after ten seconds, or after `answer_timeout_s` without an answer to the complete body."""
        headers = {**_HEADERS, "x-retell-signature": retell_signature(body, self._key, self.time.now_ms())}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_read=answer_timeout_s)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return PostResult(answer.status, await answer.text(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            return PostResult(0, type(failure).__name__)


async def post_until_accepted(post: SignedPost, url: str, body: bytes, speed: float) -> list[PostResult]:
    """Post up to four times, each time with a new signature. Only the last result can be an acceptance."""
    results = [await post(url, body)]
    for pause_s in _WEBHOOK_PAUSES_S:
        if results[-1].is_accepted:
            break
        await post.time.sleep_until(post.time.now_ms() + 1000 * max(_SHORTEST_PAUSE_S, pause_s / speed))
        results.append(await post(url, body))
    return results


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of one event. The second copy of a repeated event is copy 1."""

    event: str
    copy: int

    def __str__(self) -> str:
        return f"{self.event}#{self.copy}"


class WebhookSender:
    """Sends webhooks in order, but none waits for another. Each is finished when it was accepted or given up."""

    def __init__(
        self, store: CallStore, post: SignedPost, faults: RetellFaults, spawn: Spawn, settings: RetellEmulatorSettings
    ) -> None:
        self._store = store
        self._post = post
        self._faults = faults
        self._spawn = spawn
        self._settings = settings
        self._in_progress: set[tuple[str, Delivery]] = set()

    def send_due(self, call: Call) -> None:
        """Start sending the webhooks that the call's progress requires and that are not sent yet."""
        if call.webhook_url is None:
            return
        mode = SCENARIOS[call.scenario].webhooks
        events = [event for event in _event_times(call) if event in call.webhook_events]
        if mode == "twice_reversed":
            # Nothing is sent before the last event, or there would be no order to reverse.
            events = [] if call.analyzed_ms is None else events[::-1]
        deliveries = [Delivery(event, copy) for event in events for copy in range(_COPIES[mode])]
        deliveries = [
            item
            for item in deliveries
            if str(item) not in call.settled and (call.call_id, item) not in self._in_progress
        ]
        self._in_progress.update((call.call_id, item) for item in deliveries)
        if mode == "twice_reversed":
            self._spawn(self._deliver(call, deliveries))
        else:
            for delivery in deliveries:
                self._spawn(self._deliver(call, [delivery]))

    async def _deliver(self, call: Call, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if self._faults.webhooks != "drop":
                # The call as it was at the event. A copy differs in `event_timestamp` alone.
                body = {
                    "event": delivery.event,
                    "call": call_object(call, _EVENT_STAGES[delivery.event], self._settings.seed),
                    "event_timestamp": _event_times(call)[delivery.event] + delivery.copy,
                }
                await post_until_accepted(self._post, call.webhook_url or "", encoded(body), self._settings.speed)
            self._store.write("settled", call_id=call.call_id, delivery=str(delivery))
            self._in_progress.discard((call.call_id, delivery))


def _event_times(call: Call) -> dict[str, int]:
    times = {"call_started": call.connected_ms, "call_ended": call.ended_ms, "call_analyzed": call.analyzed_ms}
    return {event: at_ms for event, at_ms in times.items() if at_ms is not None}


class FunctionCaller:
    """Calls the functions below `functions_url`. Each call and its result become part of the transcript."""

    def __init__(self, store: CallStore, post: SignedPost, functions_url: str | None) -> None:
        self._store = store
        self._post = post
        self._functions_url = functions_url
        self.in_progress = 0

    async def call_function(self, call: Call, index: int) -> None:
        """Call the scenario's function of that index, unless it was answered before a restart.

        A function call without an answer is posted again under the same `tool_call_id`.
        """
        if self._functions_url is None:
            return
        function = SCENARIOS[call.scenario].functions[index]
        if len(call.tool_calls) == index:
            variables = call.dynamic_variables or {}
            self._store.write(
                "tool_called",
                call_id=call.call_id,
                tool_call_id=f"tool_call_{secrets.token_hex(3)}",
                name=function.name,
                # A template without its variable stays as it is, as with Retell.
                args={
                    key: _TEMPLATE.sub(lambda found: variables.get(found[1], found[0]), value)
                    if isinstance(value, str)
                    else value
                    for key, value in function.args.items()
                },
            )
        function_call = call.tool_calls[index]
        if function_call.content is not None:
            return
        self.in_progress += 1
        try:
            result = await self._post_with_retries(call, function_call, function)
        finally:
            self.in_progress -= 1
        content = result.text
        if not result.is_accepted:
            message = f"function answered {result.status}: {result.text[:200]}"
            content = json.dumps({"status": "error", "message": message})
        self._store.write(
            "tool_answered",
            call_id=call.call_id,
            tool_call_id=function_call.tool_call_id,
            content=content[:_RESULT_LIMIT],
            successful=result.is_accepted,
        )

    async def _post_with_retries(self, call: Call, function_call: FunctionCall, function: AgentFunction) -> PostResult:
        url = f"{(self._functions_url or '').rstrip('/')}/{function.name}"
        fields = function_call.args
        if not function.args_at_root:
            span_ms = max(1, self._post.time.now_ms() - (call.connected_ms or 0))
            fields = {"name": function_call.name, "call": call_in_progress(call, span_ms), "args": function_call.args}
        body = encoded(fields)
        result = PostResult(0, "")
        for attempt in range(_FUNCTION_TRIES):
            if attempt:
                await asyncio.sleep(_FUNCTION_PAUSE_S * attempt)
            if function.first_answer_lost and attempt == 0:
                # An answer that came in time is ignored too, or a fast function would never be called twice.
                await self._post(url, body, _LOST_ANSWER_TIMEOUT_S)
                continue
            result = await self._post(url, body)
            if result.is_accepted:
                break
        return result
