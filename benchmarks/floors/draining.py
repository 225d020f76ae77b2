"""Empties a queue until SIGTERM: receives in tens, handles a bounded number at once, deletes in tens."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.floors.queue_calls import QueueCalls, Row

IDLE_S = 0.1

Handle = Callable[[Row], Awaitable[None]]


async def drain(queue: QueueCalls, handle: Handle, in_flight: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    places = asyncio.Semaphore(in_flight // 10)
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            await places.acquire()
            rows = await queue.receive()
            if rows:
                group.create_task(_process(queue, handle, rows, places))
            else:
                places.release()
                await asyncio.sleep(IDLE_S)


async def _process(queue: QueueCalls, handle: Handle, rows: Sequence[Row], places: asyncio.Semaphore) -> None:
    try:
        await asyncio.gather(*(handle(row) for row in rows))
        await queue.delete(rows)
    finally:
        places.release()
