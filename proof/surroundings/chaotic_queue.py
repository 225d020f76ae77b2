"""A real queue that does everything its contract permits, and more often than any real one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from ringback.domain.errors import QueueUnavailable
from ringback.ports import DeadLetter, MessageQueue, OutgoingMessage, ReceivedMessage

#: A longer poll would outlive a change of the inner queue.
LONGEST_POLL_S = 0.5
BRIEFLY_S = 1
#: Longer than the receiver waits for a send.
HANG_S = 3.0


@dataclass(slots=True)
class Chaos:
    """Probabilities, from 0 to 1. `briefly`: a received message is hidden for a second only, and no extension helps.
    It is delivered again while it is processed. `refuses`: one message of a send is refused. `hangs`: a send takes
    `HANG_S`, before or after it is accepted; `slow`: up to a second."""

    duplicate: float = 0.3
    delay: float = 0.3
    answer_lost: float = 0.1
    not_taken: float = 0.05
    ack_lost: float = 0.2
    briefly: float = 0.3
    receive_fails: float = 0.05
    refuses: float = 0.0
    hangs: float = 0.0
    slow: float = 0.0


CALM = Chaos(0, 0, 0, 0, 0, 0, 0)
#: About every second send has a fault, each of the six as often.
BAD_SENDS = replace(CALM, not_taken=0.09, refuses=0.09, hangs=0.09, answer_lost=0.09, slow=0.09)


@dataclass(slots=True)
class ChaoticQueue(MessageQueue):
    """`inner` and `chaos` may be changed at any time; `sent` keeps every body, so that it can be sent again."""

    inner: MessageQueue
    rng: Random
    chaos: Chaos = field(default_factory=Chaos)
    sent: list[str] = field(default_factory=list)
    faults: int = 0
    _brief: set[str] = field(default_factory=set)

    def _happens(self, probability: float) -> bool:
        happens = self.rng.random() < probability
        self.faults += happens
        return happens

    @property
    def max_message_bytes(self) -> int:
        return self.inner.max_message_bytes

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        self.sent += [message.body for message in messages]
        if self._happens(self.chaos.not_taken):
            raise QueueUnavailable("not accepted")
        if self._happens(self.chaos.hangs):
            await asyncio.sleep(HANG_S)
        if self._happens(self.chaos.slow):
            await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        if self._happens(self.chaos.refuses):
            return [0, *(await self._send(messages[1:]) if messages[1:] else [])]
        refused = await self._send(messages)
        if self._happens(self.chaos.hangs):
            await asyncio.sleep(HANG_S)
        if self._happens(self.chaos.answer_lost):
            raise QueueUnavailable("accepted, but the answer was lost")
        return refused

    async def _send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        leaving = [replace(message, delay_s=self._delay_s(message)) for message in messages]
        refused = await self.inner.send(leaving)
        copies = [message for message in leaving if self._happens(self.chaos.duplicate)]
        self.rng.shuffle(copies)
        if copies:
            await self.inner.send([replace(copy, delay_s=self._delay_s(copy)) for copy in copies])
        return refused

    def _delay_s(self, message: OutgoingMessage) -> int:
        return self.rng.randint(1, 3) if self._happens(self.chaos.delay) else message.delay_s

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        if self._happens(self.chaos.receive_fails):
            raise QueueUnavailable("the poll was cut off")
        brief = self._happens(self.chaos.briefly)
        hidden_s = BRIEFLY_S if brief else visibility_s
        messages = await self.inner.receive(limit, min(wait_s, LONGEST_POLL_S), hidden_s)
        self.rng.shuffle(messages)
        if brief:
            self._brief.update(message.receipt for message in messages)
        return messages

    async def delete(self, receipts: Sequence[str]) -> None:
        kept = [receipt for receipt in receipts if not self._happens(self.chaos.ack_lost)]
        await self._redeliver_soon([receipt for receipt in receipts if receipt not in kept])
        if kept:
            await self.inner.delete(kept)

    async def _redeliver_soon(self, receipts: list[str]) -> None:
        """A lost acknowledgement shows when the visibility timeout is over; here that is at once."""
        if receipts:
            await self.inner.change_visibility(receipts, 0)

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        extended = [receipt for receipt in receipts if receipt not in self._brief or visibility_s <= BRIEFLY_S]
        if extended:
            await self.inner.change_visibility(extended, visibility_s)

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        await self.inner.dead_letter(message, reason)

    async def depth(self) -> int:
        return await self.inner.depth()

    async def oldest_age_s(self) -> float | None:
        return await self.inner.oldest_age_s()

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self.inner.dead_letters(limit)

    async def replay(self, letter_id: str | None) -> int:
        return await self.inner.replay(letter_id)

    async def close(self) -> None:
        await self.inner.close()
