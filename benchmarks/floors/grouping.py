"""Writes what arrives together as one group, without a timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Grouped(Generic[T, R]):
    """`write` gets the items that arrived while the earlier groups ran. It returns a result for each item."""

    def __init__(self, write: Callable[[list[T]], Awaitable[Sequence[R]]], limit: int, parallel: int) -> None:
        self._write = write
        self._limit = limit
        self._free = parallel
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await result

    async def _run(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
            try:
                results = await self._write([item for item, _ in group])
            except Exception as error:  # noqa: BLE001 each caller gets it
                for _, waiting in group:
                    waiting.set_exception(error)
            else:
                for (_, waiting), result in zip(group, results, strict=True):
                    waiting.set_result(result)
        self._free += 1
