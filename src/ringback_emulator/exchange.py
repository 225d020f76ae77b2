"""The telephone exchange behind the emulated Retell: accepts calls, rings phones, lets each call live its script."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import aiohttp

from ringback_emulator.call_book import Call, CallBook, Direction
from ringback_emulator.call_request import CallOrder, RequestRefused
from ringback_emulator.faults import RetellFaults
from ringback_emulator.journal import Journal
from ringback_emulator.outgoing import SignedPost, now_ms
from ringback_emulator.scenarios import SCENARIOS, scenario_of
from ringback_emulator.script import Script
from ringback_emulator.settings import RetellEmulatorSettings
from ringback_emulator.tools import Toolbox
from ringback_emulator.webhooks import Courier, owed_deliveries

# Retell remembers an idempotency key for one hour.
IDEMPOTENCY_WINDOW_MS = 3_600_000


class Exchange:
    """Owns the journals and one task per call under way. Open it inside a running event loop, close it at the end."""

    def __init__(self, settings: RetellEmulatorSettings) -> None:
        self.settings = settings
        self.faults = RetellFaults()
        self._journal = Journal(settings.state_dir / "calls.jsonl")
        self.rings = Journal(settings.state_dir / "rings.jsonl")
        self.book = CallBook(self._journal)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500))
        self.post = SignedPost(self._session, settings.webhook_key)
        self._tools = Toolbox(self.book, self.post, settings.functions_url)
        self._courier = Courier(self.book, self.post, self.faults, self._spawn, (settings.speed, settings.seed))
        self._tasks: set[asyncio.Task[None]] = set()
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._talks: dict[str, asyncio.Task[None]] = {}
        self._recent_starts: deque[float] = deque()

    def resume(self) -> None:
        """Takes up every call that was under way when the last process ended."""
        rung = {ring["provider_call_id"] for ring in self.rings.records()}
        for call in list(self.book.calls.values()):
            if _rings_a_person(call) and call.call_id not in rung:
                self._ring(call)
            if call.analyzed_ms is None:
                self._start_life(call)
            elif owed_deliveries(call):
                self._courier.send_owed(call)

    async def close(self) -> None:
        tasks = [*self._tasks, *self._lives.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()
        self._journal.close()
        self.rings.close()

    def accept(self, order: CallOrder) -> tuple[Call, bool]:
        """The call and whether it is new. Raises RequestRefused: 400 do-not-call, 429 throttled or over a limit."""
        if order.honor_internal_dnc and order.to_number in self.book.do_not_call:
            raise RequestRefused(400, "The contact of this number is marked as do not call.")
        known = self._replayed(order)
        if known is not None:
            return known, False
        scenario = scenario_of(order.to_number, order.metadata)
        self._check_throttle(order, SCENARIOS[scenario])
        self._check_concurrency()
        self._check_call_starts()
        return self._place(order, scenario, "outbound", new_call_id()), True

    def put_through(self, order: CallOrder, scenario: str, call_id: str) -> Call:
        """A call from outside, to be answered by the order's agent. Raises RequestRefused: 429 over the limit."""
        self._check_concurrency()
        return self._place(order, scenario, "inbound", call_id)

    async def stop(self, call: Call) -> None:
        """Raises RequestRefused (400) unless the call is ongoing."""
        talk = self._talks.get(call.call_id)
        if talk is None:
            raise RequestRefused(400, "Call is not ongoing.")
        talk.cancel()
        await asyncio.wait([talk])

    def delete(self, call: Call) -> None:
        life = self._lives.pop(call.call_id, None)
        if life is not None:
            life.cancel()
        self.book.write("deleted", call_id=call.call_id)

    def _replayed(self, order: CallOrder) -> Call | None:
        if not self.settings.idempotency or order.idempotency_key is None:
            return None
        call = self.book.by_idempotency_key.get(order.idempotency_key)
        return call if call is not None and now_ms() - call.created_ms < IDEMPOTENCY_WINDOW_MS else None

    def _check_throttle(self, order: CallOrder, script: Script) -> None:
        key = f"{order.to_number} {order.idempotency_key or ''}"
        if script.create == "throttles_twice" and self.book.throttles.get(key, 0) < 2:
            self.book.write("throttled", key=key)
            raise RequestRefused(429, "Account rate limited, please throttle your requests.")

    def _check_concurrency(self) -> None:
        if len(self.book.live) >= self.settings.concurrency_limit:
            raise RequestRefused(429, "Concurrency limit reached.")

    def _check_call_starts(self) -> None:
        now_s = time.monotonic()
        while self._recent_starts and self._recent_starts[0] <= now_s - 1.0:
            self._recent_starts.popleft()
        if len(self._recent_starts) >= self.settings.calls_per_second:
            raise RequestRefused(429, "Calls per second limit reached.")
        self._recent_starts.append(now_s)

    def _place(self, order: CallOrder, scenario: str, direction: Direction, call_id: str) -> Call:
        call = Call(
            call_id=call_id,
            direction=direction,
            scenario=scenario,
            created_ms=now_ms(),
            to_number=order.to_number,
            from_number=order.from_number,
            agent_id=order.agent_id,
            agent_version=order.agent_version,
            webhook_url=order.webhook_url,
            webhook_events=list(order.webhook_events),
            data_storage_setting=order.data_storage_setting,
            idempotency_key=order.idempotency_key,
            metadata=order.metadata,
            dynamic_variables=order.dynamic_variables,
            custom_sip_headers=order.custom_sip_headers,
        )
        self.book.create(call)
        call = self.book.calls[call.call_id]
        if _rings_a_person(call):
            self._ring(call)
        self._start_life(call)
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

    def _start_life(self, call: Call) -> None:
        task = asyncio.get_running_loop().create_task(self._live(call))
        self._lives[call.call_id] = task
        task.add_done_callback(lambda _: self._lives.pop(call.call_id, None))

    async def _live(self, call: Call) -> None:
        script = SCENARIOS[call.scenario]
        self._courier.send_owed(call)
        if call.stage == "registered":
            await self._until(call.created_ms, script.ring_s)
            if script.connects:
                self._advance(call, "connected")
            else:
                self._advance(call, "ended", reason=script.reason)
        if call.stage == "ongoing":
            stopped = await self._talk(call, script)
            self._advance(call, "ended", reason="manual_stopped" if stopped else script.reason)
        await self._until(call.ended_ms or call.created_ms, script.analysis_s)
        self._advance(call, "analyzed")

    async def _talk(self, call: Call, script: Script) -> bool:
        """Whether the talk was stopped from outside."""
        talk = asyncio.get_running_loop().create_task(self._converse(call, script))
        self._talks[call.call_id] = talk
        try:
            await asyncio.wait([talk])
        finally:
            talk.cancel()
            del self._talks[call.call_id]
        if not talk.cancelled():
            talk.result()
        return talk.cancelled()

    async def _converse(self, call: Call, script: Script) -> None:
        began_ms = call.connected_ms or call.created_ms
        for index, tool in enumerate(script.tools):
            await self._until(began_ms, script.talk_s * (index + 1) / (len(script.tools) + 1))
            if tool.args.get("code") == "do_not_call":
                self.book.write("opted_out", phone=call.person)
            await self._tools.use(call, index)
        await self._until(began_ms, script.talk_s)

    def _advance(self, call: Call, what: str, **facts: Any) -> None:
        self.book.write(what, call_id=call.call_id, at_ms=now_ms(), **facts)
        self._courier.send_owed(call)

    async def _until(self, since_ms: int, emulated_s: float) -> None:
        due_ms = since_ms + emulated_s * 1000 / self.settings.speed
        await asyncio.sleep(max(0.0, (due_ms - now_ms()) / 1000))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_call_id() -> str:
    """`call_` and 27 hexadecimal digits, the form of Retell's own."""
    return f"call_{secrets.token_hex(14)[:27]}"


def _rings_a_person(call: Call) -> bool:
    return call.direction == "outbound" and SCENARIOS[call.scenario].rings
