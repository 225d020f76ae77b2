"""Work that is cheaper in groups: what arrives while a group is under way forms the next one, so nobody waits for a
timer."""

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
    """Callable with one item; `work` gets at most `limit` of them and answers each in its place.

    With `parallel` groups under way, further items wait and share the next one. When a group of several fails, each of
    its items is tried alone, so that one bad item does no harm to its neighbours; the error of a single one is raised
    to its caller. An item whose caller was cancelled before its turn is left out.
    """

    def __init__(self, work: Work[T, R], *, limit: int, parallel: int = 1) -> None:
        self._work = work
        self._limit = limit
        self._parallel = parallel
        self._running = 0
        self._waiting: dict[asyncio.Future[R], T] = {}
        self._groups: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references to its tasks

    async def __call__(self, item: T) -> R:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = item
        if self._running < self._parallel:
            self._running += 1
            group = asyncio.create_task(self._run())
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)
        try:
            return await answer
        finally:
            self._waiting.pop(answer, None)  # only there when the caller did not wait for its turn

    async def _run(self) -> None:
        try:
            while self._waiting:
                answers = list(islice(self._waiting, self._limit))
                await self._do([(self._waiting.pop(answer), answer) for answer in answers])
        finally:
            self._running -= 1

    async def _do(self, group: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to the callers, each of whom has a door of its own
            if len(group) > 1:
                for one in group:
                    if not one[1].done():
                        await self._do([one])
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        for (_, answer), result in zip(group, results, strict=True):
            if not answer.done():  # its caller may have gone away meanwhile
                answer.set_result(result)


#: Messages of one send; a queue call costs the same for ten as for one.
SENT_TOGETHER = 50
#: Returns once the message is durable; raises Retryable when it is not known to be.
Send = Callable[[str], Awaitable[None]]


def send_through(queue: MessageQueue) -> Send:
    """A Send through this queue, at the price of a group."""

    async def send_group(messages: Sequence[OutgoingMessage]) -> list[bool]:
        refused = set(await queue.send(messages))
        return [position not in refused for position in range(len(messages))]

    taken: Batcher[OutgoingMessage, bool] = Batcher(send_group, limit=SENT_TOGETHER, parallel=2)

    async def send(body: str) -> None:
        if not await taken(OutgoingMessage(body)):
            raise QueueUnavailable("the queue refused the message")

    return send


async def run_concurrently(work: Callable[[T], Awaitable[object]], items: Sequence[T], *, at_once: int) -> None:
    """Every item is tried, `at_once` of them side by side; then the first error, if there was one, is raised."""
    errors: list[BaseException] = []
    for first in range(0, len(items), at_once):
        ends = await asyncio.gather(*map(work, items[first : first + at_once]), return_exceptions=True)
        errors += [end for end in ends if isinstance(end, BaseException)]
    if errors:
        raise errors[0]
