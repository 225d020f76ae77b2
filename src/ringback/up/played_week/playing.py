"""Play a range of time: move its clock from moment to moment, and do all work that is due at each."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import aiohttp

from ringback.domain.errors import Retryable
from ringback.flows.outbox_delivery import deliver_due
from ringback.messages import decode_call_requested, decode_webhook_received
from ringback.ports import MessageQueue, ReceivedMessage
from ringback.up.played_week.requests import Act
from ringback.wiring import Dependencies
from ringback_emulator.call_simulator import CallSimulator
from ringback_emulator.emulated_time import MovedTime

#: The product works this often while calls are in progress. Its queues wait that long at most.
STEP_MS = 60_000
#: The longest step while nothing is planned.
IDLE_STEP_MS = 300_000
#: Messages in one receive of a queue, and how long they are invisible to others, in real seconds.
BATCH, VISIBILITY_S = 10, 60
#: Steps between two sweeps.
SWEEP_EVERY = 10
NAP_S = 0.001
#: Tries of work, and the pause between two.
TRIES, RETRY_S = 5, 1.0
#: Turns of the event loop in which a call that woke up has written its step and begun its webhook.
TURNS = 8


def unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class PlayedClock:
    """`ports.Clock` with the time of the play. Leases and timeouts stay those of the machine."""

    def __init__(self, played: MovedTime) -> None:
        self._played = played

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._played.now_ms() / 1000, UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class Player:
    """Plays acts on one installation. Its API and the emulated Retell are served meanwhile.

    The flows are those of the services. Their loops are not run: they would wait in real time.
    """

    deps: Dependencies
    played: MovedTime
    simulator: CallSimulator
    session: aiohttp.ClientSession
    api_url: str
    calls: dict[str, str] = field(default_factory=dict)
    _steps: int = 0

    async def play(self, acts: Iterable[Act], until: datetime, show_day: Callable[[date], Awaitable[None]]) -> None:
        """Play the acts, and everything that follows from them before `until`. `show_day` follows each day."""
        planned, until_ms = deque(acts), unix_ms(until)
        day = self.deps.clock.now().date()
        while (now_ms := self.played.now_ms()) < until_ms:
            longest_ms = now_ms + IDLE_STEP_MS
            stop_ms = min(max(now_ms + STEP_MS, self._next_moment(planned, longest_ms)), longest_ms, until_ms)
            has_news = await self._play_moments(planned, stop_ms)
            await _with_retries(partial(self._work, has_news))
            if self.deps.clock.now().date() != day:
                await show_day(day)
                day = self.deps.clock.now().date()
        await self._deliver("engage", "stop")
        await self.deps.rollups().fold_deltas()

    def _next_moment(self, planned: deque[Act], otherwise_ms: int) -> int:
        """Return when a system or a person does something next, in Unix milliseconds rounded up."""
        moments = [unix_ms(planned[0].at)] if planned else []
        if self.played.next_due_ms is not None:
            moments.append(math.ceil(self.played.next_due_ms))
        return min(moments, default=otherwise_ms)

    async def _play_moments(self, planned: deque[Act], stop_ms: int) -> bool:
        """Move to each moment before `stop_ms`, then to that time. Returns whether there was any.

        Webhooks are on their way meanwhile, and have arrived at the end.
        """
        has_news = False
        while (at_ms := self._next_moment(planned, stop_ms)) < stop_ms:
            has_news = True
            self.played.move_to(at_ms)
            while planned and unix_ms(planned[0].at) <= at_ms:
                await self._do(planned.popleft())
            for _ in range(TURNS):
                await asyncio.sleep(0)
            while self.simulator.functions_in_progress:
                await asyncio.sleep(NAP_S)
        while self.simulator.work_in_progress:
            await asyncio.sleep(NAP_S)
        self.played.move_to(stop_ms)
        return has_news

    async def _work(self, has_news: bool) -> None:
        """Do the due work of every service.

        Without news and due calls only a sweep has work: deliveries that are tried again, and the statistics.
        """
        deps, scheduled = self.deps, self.deps.scheduled_calls()
        self._steps += 1
        is_sweep = self._steps % SWEEP_EVERY == 0
        found = await scheduled.end_expired_calls() + await scheduled.release_due_calls()
        if found or has_news:
            await self._deliver("queue")
            await asyncio.gather(self._place_calls(), self._apply_events())
        found += await deps.reconciliation().reconcile_due_attempts()
        if found or has_news or is_sweep:
            await self._deliver("engage", "stop")
        if is_sweep:
            await deps.rollups().fold_deltas()

    async def _place_calls(self) -> None:
        processing = self.deps.call_processing()
        await _drain(self.deps.call_queue, lambda one: processing.place_call(decode_call_requested(one.body)))

    async def _apply_events(self) -> None:
        processing = self.deps.event_processing()
        await _drain(
            self.deps.event_queue,
            lambda one: processing.apply_call_event(decode_webhook_received(one.body), one.receive_count),
        )

    async def _deliver(self, *names: str) -> None:
        channels = [channel for channel in self.deps.relay.channels if channel.name in names]
        await asyncio.gather(*(deliver_due(self.deps.relay, channel, asyncio.Event()) for channel in channels))

    async def _do(self, act: Act) -> None:
        match act.what:
            case "place":
                accepted = await self._post("/v1/calls", act.body, {"Idempotency-Key": act.call})
                self.calls[act.call] = accepted["call_id"]
            case "cancel":
                await self._post(f"/v1/calls/{self.calls[act.call]}/cancel", act.body)
            case "suppress":
                await self._post("/v1/suppressions", act.body)
            case "inbound":
                await self._post(f"{self.deps.settings.retell_base_url}/emulator/retell/inbound", act.body)
            case "pause" | "resume" as change:
                await self._post(f"/v1/dialing/{change}", act.body)

    async def _post(self, path: str, body: object, headers: dict[str, str] | None = None) -> dict[str, Any]:
        url = path if path.startswith("http") else self.api_url + path
        async with self.session.post(url, json=body, headers=headers) as answer:
            answer.raise_for_status()
            told: dict[str, Any] = await answer.json()
            return told


async def _with_retries(work: Callable[[], Awaitable[None]]) -> None:
    """Do work that may be done again. On a busy machine a lock or a connection may not come in time."""
    for _ in range(TRIES - 1):
        try:
            return await work()
        except Retryable:
            await asyncio.sleep(RETRY_S)
    await work()


async def _drain(queue: MessageQueue, handle: Callable[[ReceivedMessage], Awaitable[None]]) -> None:
    """Handle everything that waits in the queue, a batch at a time."""
    while messages := await queue.receive(BATCH, 0, VISIBILITY_S):
        await asyncio.gather(*(_with_retries(partial(handle, message)) for message in messages))
        await queue.delete([message.receipt for message in messages])
        if len(messages) < BATCH:
            return
