"""Work in batches without a timer: items that arrive while a batch is in progress form the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from ringback.domain.errors import QueueUnavailable
from ringback.ports import MessageQueue, OutgoingMessage

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


class Batcher(Generic[T, R]):
    """Passes single items to `work` in batches of at most `limit`. `work` returns one result for each item, in order.

    While `parallel` batches are in progress, further items wait for the next batch. When a batch of several items
    fails, each item is tried alone, and its error is raised to its own caller. An item is dropped if its caller is
    cancelled before its batch starts.
    """

    def __init__(self, work: Work[T, R], *, limit: int, parallel: int = 1) -> None:
        self._work = work
        self._limit = limit
        self._parallel = parallel
        self._running = 0
        self._waiting: dict[asyncio.Future[R], T] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop keeps only weak references to its tasks

    async def __call__(self, item: T) -> R:
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[result] = item
        if self._running < self._parallel:
            self._running += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await result
        finally:
            self._waiting.pop(result, None)  # still present only if the caller was cancelled

    async def _run(self) -> None:
        try:
            while self._waiting:
                results = list(islice(self._waiting, self._limit))
                await self._do([(self._waiting.pop(result), result) for result in results])
        finally:
            self._running -= 1

    async def _do(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - the error is raised to the callers of the items
            if len(batch) > 1:
                for one in batch:
                    if not one[1].done():
                        await self._do([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():  # its caller may have been cancelled
                future.set_result(result)


#: Messages in one send. A call of the queue costs the same for ten messages as for one.
SENT_TOGETHER = 50
#: Sends one message. Returns once it is durable; raises Retryable if that is not known.
Send = Callable[[OutgoingMessage], Awaitable[None]]


def send_through(queue: MessageQueue) -> Send:
    """Return a Send that passes messages to this queue in batches."""

    async def send_batch(messages: Sequence[OutgoingMessage]) -> list[bool]:
        refused = set(await queue.send(messages))
        return [position not in refused for position in range(len(messages))]

    batcher: Batcher[OutgoingMessage, bool] = Batcher(send_batch, limit=SENT_TOGETHER, parallel=2)

    async def send(message: OutgoingMessage) -> None:
        if not await batcher(message):
            raise QueueUnavailable("the queue refused the message")

    return send


async def run_concurrently(work: Callable[[T], Awaitable[object]], items: Sequence[T], *, at_once: int) -> None:
    """Run `work` on every item, `at_once` items at a time. Raise the first error after all items are done."""
    errors: list[BaseException] = []
    for first in range(0, len(items), at_once):
        ends = await asyncio.gather(*map(work, items[first : first + at_once]), return_exceptions=True)
        errors += [end for end in ends if isinstance(end, BaseException)]
    if errors:
        raise errors[0]
