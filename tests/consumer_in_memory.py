"""A consumer over a queue in memory that records its requests."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ringback.consumer import Consumer, ConsumerConfig
from ringback.domain.errors import QueueUnavailable
from ringback.loops import Loop
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage


class QueueInMemory(MessageQueue):
    """A queue that keeps the contract and records its requests."""

    def __init__(self, *bodies: str) -> None:
        self.rows = {str(n): [body, 0.0, 0] for n, body in enumerate(bodies)}  # body, visible at, receive count
        self.limits: list[int] = []
        self.deletes: list[list[str]] = []
        self.given_back: list[tuple[str, int]] = []
        self.dead: list[tuple[str, str]] = []
        self.is_unavailable = False

    def _check(self) -> None:
        if self.is_unavailable:
            raise QueueUnavailable("unavailable")

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        for message in messages:
            self.rows[str(len(self.rows))] = [message.body, 0.0, 0]
        return []

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        self.limits.append(limit)
        give_up_at = time.monotonic() + wait_s
        while True:
            self._check()
            got = []
            for key, row in self.rows.items():
                if row[1] <= time.monotonic() and len(got) < limit:
                    row[1] = time.monotonic() + visibility_s
                    row[2] += 1
                    got.append(ReceivedMessage(key, f"{key}.{row[2]}", row[0], row[2]))
            if got or time.monotonic() > give_up_at:
                return got
            await asyncio.sleep(0.005)

    def _row(self, receipt: str) -> list | None:
        key, _, count = receipt.partition(".")
        row = self.rows.get(key)
        return row if row and row[2] == int(count) else None

    async def delete(self, receipts: Sequence[str]) -> None:
        self._check()
        self.deletes.append(list(receipts))
        for receipt in receipts:
            if self._row(receipt):
                del self.rows[receipt.partition(".")[0]]

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        self._check()
        for receipt in receipts:
            if row := self._row(receipt):
                row[1] = time.monotonic() + visibility_s
                self.given_back.append((row[0], visibility_s))

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        self._check()
        self.dead.append((message.body, reason))
        del self.rows[message.message_id]

    async def depth(self) -> int:
        return len(self.rows)

    async def close(self) -> None:
        pass


def consumer_of(queue, handle, *, available_slots=None, loop=None, **config) -> Consumer:
    settings = {"max_in_flight": 50, "wait_s": 0.05, "visibility_s": 30, "drain_s": 2.0, **config}
    loop, rng = loop or Loop("consumer", "calls"), random.Random(7)
    return Consumer(queue, handle, ConsumerConfig(**settings), loop=loop, rng=rng, available_slots=available_slots)


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[Consumer]:
    stop = asyncio.Event()
    run = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await run


async def until(condition, limit_s: float = 3.0) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    while not condition():
        assert clock() < deadline, f"the condition was not met within {limit_s} s"
        await asyncio.sleep(0.002)
