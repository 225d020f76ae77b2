"""The time of the emulated calls: the machine's, or one that the program around them moves."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class EmulatedTime(Protocol):
    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        ...

    async def sleep_until(self, due_ms: float) -> None:
        """Return at this time, at once if it is over."""
        ...


class SystemTime:
    """The time of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_until(self, due_ms: float) -> None:
        await asyncio.sleep(max(0.0, (due_ms - self.now_ms()) / 1000))


class MovedTime:
    """Time that stands still until `move_to`. A week of calls then takes as long as the work of its calls."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return self._now_ms

    @property
    def asleep(self) -> int:
        """The number of sleepers that are neither due nor cancelled."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    @property
    def next_due_ms(self) -> float | None:
        """The time of the next sleeper. None: there is none."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def move_to(self, now_ms: int) -> None:
        """Set the time and wake every sleeper that is due. Time never goes back."""
        self._now_ms = max(self._now_ms, now_ms)
        while (due_ms := self.next_due_ms) is not None and due_ms <= self._now_ms:
            heapq.heappop(self._sleepers)[2].set_result(None)

    async def sleep_until(self, due_ms: float) -> None:
        if due_ms > self._now_ms:
            wake = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (due_ms, next(self._order), wake))
            await wake
