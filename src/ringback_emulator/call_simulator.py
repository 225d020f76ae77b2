"""Simulation of phone calls: accepts them, rings phones and runs each call's scenario."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import aiohttp

from ringback_emulator.call_request import CallRequest, RequestRejected
from ringback_emulator.call_store import Call, CallStore, Direction
from ringback_emulator.emulated_time import MovedTime
from ringback_emulator.json_lines import JsonLinesFile
from ringback_emulator.outgoing_requests import FunctionCaller, SignedPost, WebhookSender
from ringback_emulator.scenarios import SCENARIOS, Behaviour, Scenario
from ringback_emulator.settings import RetellEmulatorSettings, RetellFaults

# Retell remembers an idempotency key for one hour.
IDEMPOTENCY_WINDOW_MS = 3_600_000


class CallSimulator:
    """Owns the files of calls and rings, and one task per call. Needs a running event loop."""

    def __init__(self, settings: RetellEmulatorSettings) -> None:
        self.settings = settings
        self._time = settings.time
        self.faults = RetellFaults()
        self._calls_file = JsonLinesFile(settings.state_dir / "calls.jsonl")
        self.rings = JsonLinesFile(settings.state_dir / "rings.jsonl")
        self.store = CallStore(self._calls_file)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500))
        self.post = SignedPost(self._session, settings.webhook_key, settings.time)
        self._functions = FunctionCaller(self.store, self.post, settings.functions_url)
        self._webhooks = WebhookSender(self.store, self.post, self.faults, self._spawn, settings)
        self._tasks: set[asyncio.Task[None]] = set()
        self._conversations: dict[str, asyncio.Task[None]] = {}
        self._recent_starts: deque[float] = deque()

    def resume(self) -> None:
        """Continue every call that the last process left unfinished."""
        rung = {ring["provider_call_id"] for ring in self.rings.records()}
        for call in self.store.calls.values():
            if _rings_a_person(call) and call.call_id not in rung:
                self._ring(call)
            if call.analyzed_ms is None:
                self._spawn(self._run_call(call))
            else:
                self._webhooks.send_due(call)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()
        self._calls_file.close()
        self.rings.close()

    def accept(self, request: CallRequest) -> tuple[Call, bool]:
        """Return the call, and whether it is new. Raises RequestRejected: 400 do-not-call, 429 over a limit."""
        if request.honor_internal_dnc and request.to_number in self.store.do_not_call:
            raise RequestRejected(400, "The contact of this number is marked as do not call.")
        if self.settings.idempotency and request.idempotency_key is not None:
            known = self.store.by_idempotency_key.get(request.idempotency_key)
            if known is not None and self._time.now_ms() - known.created_ms < IDEMPOTENCY_WINDOW_MS:
                return known, False
        behaviour = self.settings.behaviour_of(request, self._time.now_ms())
        create = SCENARIOS[behaviour.scenario].create
        if create == "fails":
            raise RequestRejected(500)
        key = f"{request.to_number} {request.idempotency_key or ''}"
        if create == "throttles_twice" and self.store.throttled_creates.get(key, 0) < 2:
            self.store.write("throttled", key=key)
            raise RequestRejected(429)
        self._check_concurrency()
        now_s = time.monotonic()
        while self._recent_starts and self._recent_starts[0] <= now_s - 1.0:
            self._recent_starts.popleft()
        if len(self._recent_starts) >= self.settings.calls_per_second:
            raise RequestRejected(429, "Calls per second limit reached.")
        self._recent_starts.append(now_s)
        return self._start_call(request, behaviour, "outbound", new_call_id()), True

    def connect_inbound(self, request: CallRequest, scenario: str, call_id: str) -> Call:
        """Start an inbound call to the request's agent. Raises RequestRejected: 429 over the limit."""
        self._check_concurrency()
        return self._start_call(request, Behaviour(scenario), "inbound", call_id)

    async def stop(self, call: Call) -> None:
        """End the conversation. Raises RequestRejected (400) unless the call is ongoing."""
        conversation = self._conversations.get(call.call_id)
        if conversation is None:
            raise RequestRejected(400, "Call is not ongoing.")
        conversation.cancel()
        await asyncio.wait([conversation])

    def _check_concurrency(self) -> None:
        if len(self.store.unended) >= self.settings.concurrency_limit:
            raise RequestRejected(429, "Concurrency limit reached.")

    @property
    def functions_in_progress(self) -> int:
        """The number of functions that were called and have not answered."""
        return self._functions.in_progress

    @property
    def work_in_progress(self) -> int:
        """The number of calls and webhooks that do not wait for a later time."""
        asleep = self._time.asleep if isinstance(self._time, MovedTime) else 0
        return len(self._tasks) - asleep

    def _start_call(self, request: CallRequest, behaviour: Behaviour, direction: Direction, call_id: str) -> Call:
        call = self.store.create(
            Call(
                call_id=call_id,
                direction=direction,
                scenario=behaviour.scenario,
                created_ms=self._time.now_ms(),
                to_number=request.to_number,
                from_number=request.from_number,
                agent_id=request.agent_id,
                agent_version=request.agent_version,
                webhook_url=request.webhook_url,
                webhook_events=list(request.webhook_events),
                data_storage_setting=request.data_storage_setting,
                idempotency_key=request.idempotency_key,
                metadata=request.metadata,
                dynamic_variables=request.dynamic_variables,
                custom_sip_headers=request.custom_sip_headers,
                ring_s=behaviour.ring_s,
                talk_s=behaviour.talk_s,
            )
        )
        if _rings_a_person(call):
            self._ring(call)
        self._spawn(self._run_call(call))
        return call

    def _ring(self, call: Call) -> None:
        rang_at = datetime.fromtimestamp(call.created_ms / 1000, UTC).isoformat(timespec="milliseconds")
        self.rings.append(
            {
                "provider_call_id": call.call_id,
                "to_number": call.to_number,
                "metadata": call.metadata,
                "rang_at": rang_at.replace("+00:00", "Z"),
            }
        )

    async def _run_call(self, call: Call) -> None:
        scenario = SCENARIOS[call.scenario]
        self._webhooks.send_due(call)
        if call.stage == "registered":
            await self._sleep_until(call.created_ms, scenario.ring_s if call.ring_s is None else call.ring_s)
            if scenario.connects:
                self._advance(call, "connected")
            else:
                self._advance(call, "ended", reason=scenario.disconnection_reason)
        if call.stage == "ongoing":
            conversation = asyncio.get_running_loop().create_task(self._converse(call, scenario))
            self._conversations[call.call_id] = conversation
            try:
                await asyncio.wait([conversation])
            finally:
                conversation.cancel()
                del self._conversations[call.call_id]
            if conversation.cancelled():
                # A stop request ended it.
                self._advance(call, "ended", reason="manual_stopped")
            else:
                conversation.result()
                self._advance(call, "ended", reason=scenario.disconnection_reason)
        await self._sleep_until(call.ended_ms or call.created_ms, scenario.analysis_s)
        self._advance(call, "analyzed")

    async def _converse(self, call: Call, scenario: Scenario) -> None:
        began_ms = call.connected_ms or call.created_ms
        talk_s = scenario.talk_s if call.talk_s is None else call.talk_s
        for index, function in enumerate(scenario.functions):
            await self._sleep_until(began_ms, talk_s * (index + 1) / (len(scenario.functions) + 1))
            if function.args.get("code") == "do_not_call":
                self.store.write("opted_out", phone=call.person_number)
            await self._functions.call_function(call, index)
        await self._sleep_until(began_ms, talk_s)

    def _advance(self, call: Call, what: str, **facts: Any) -> None:
        self.store.write(what, call_id=call.call_id, at_ms=self._time.now_ms(), **facts)
        self._webhooks.send_due(call)

    async def _sleep_until(self, since_ms: int, emulated_s: float) -> None:
        await self._time.sleep_until(since_ms + emulated_s * 1000 / self.settings.speed)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_call_id() -> str:
    """Return `call_` and 27 hexadecimal digits, the form of Retell's own ids."""
    return f"call_{secrets.token_hex(14)[:27]}"


def _rings_a_person(call: Call) -> bool:
    return call.direction == "outbound" and SCENARIOS[call.scenario].rings
