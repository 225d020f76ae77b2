"""The loop of both processors: receive, handle, then acknowledge, delay or dead-letter by the class of the error."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from ringback.domain.errors import AnotherVersion, Permanent, QueueUnavailable, Retryable, StoreUnavailable
from ringback.failpoints import Failpoint, reach
from ringback.loops import Loop, is_database_lost, location
from ringback.ports import MessageQueue, ReceivedMessage

Handle = Callable[[Sequence[ReceivedMessage]], Awaitable[None]]
AvailableSlots = Callable[[], Awaitable[int]]

BATCH = 10  # messages in one call of a queue
ACK_DELAY_S = 0.005
NO_SLOT_PAUSE_S = 0.05
#: Under a backlog each finished call frees one slot. A receive waits this long for more of them.
FILL_S = 0.02
LAST_POLL_S = 0.25  # time for a poll that is in progress at stop, before it is cancelled
GIVEN_BACK_S = 1  # at stop; with 0 the last poll of this process could receive the message again
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 900.0
DELETE_TRIES = 6
#: Waits of a message of an unknown version after its first, second … receive. After them it is dead-lettered.
#: Amazon SQS counts every receive, and its redrive policy allows five, so there are four waits between them.
#: Together they are 61 minutes, in which a rollout ends. The first is short: a newer process probably runs already.
ANOTHER_VERSION_WAITS_S = (60, 600, 1200, 1800)

#: A message that fails this often with an unavailable store, while others succeed, is the cause itself.
TRIES_IN_PLACE = 6


@dataclass(slots=True)
class ConsumerStats:
    """Counts since the start. A message with an unexpected error counts in `failures` and in `retried`."""

    received: int = 0
    acked: int = 0
    retried: int = 0
    dead: int = 0
    failures: int = 0
    receive_calls: int = 0
    delete_calls: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """Limits of one consumer.

    `visibility_s` is extended while a message is handled. It bounds how soon the messages of a dead process return.
    `drain_s` is the time for messages in flight after stop. `dependency` names the queue in the log.
    """

    max_in_flight: int
    group_size: int = 1
    visibility_s: int = 60
    wait_s: float = 20.0
    drain_s: float = 25.0
    dependency: str = "queue"


class Backoff:
    """Pauses after failures in a row: 0.2 s doubling to 5 s, each shortened by up to a half at random."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.failures = 0

    def failed(self) -> None:
        """Record a failure."""
        self.failures += 1

    def worked(self) -> None:
        """Record a success, which ends the pauses."""
        self.failures = 0

    def pause_s(self) -> float:
        """Return the pause before the next try, zero after a success."""
        if not self.failures:
            return 0.0
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 10)) * self._rng.uniform(0.5, 1.0)


class Consumer:
    """Calls `handle` with groups of at most `config.group_size` messages.

    A group is acknowledged when `handle` returns. When it raises for a group, each message is handled alone. For one
    message the error decides:

    - Permanent: the message goes to the dead letters.
    - Retryable, and any unexpected error: it returns to the queue with a growing delay, until the receive limit.
    - AnotherVersion: it returns to the queue, for an hour in all.
    - StoreUnavailable, QueueUnavailable: it is retried here after a pause and costs no receive. Meanwhile one message
      at a time is received, to detect the recovery.

    `available_slots` bounds each receive. It must count messages in flight itself.
    """

    def __init__(
        self,
        queue: MessageQueue,
        handle: Handle,
        config: ConsumerConfig,
        *,
        loop: Loop,
        rng: random.Random,
        available_slots: AvailableSlots | None = None,
    ) -> None:
        self.stats = ConsumerStats()
        self._queue = queue
        self._handle = handle
        self._config = config
        self._available_slots = available_slots
        self._rng = rng
        self._loop = loop
        self._log = structlog.get_logger().bind(consumer=loop.name)
        self._store_backoff = Backoff(rng)
        self._queue_backoff = Backoff(rng)
        self._successes = 0
        self._has_backlog = False  # the last receive returned as many messages as it asked for
        self._handling = 0  # messages that are handled now
        self._unfinished = 0  # messages that are handled now, or handled and not yet deleted
        self._acks: list[str] = []
        self._ack_timer: asyncio.TimerHandle | None = None
        self._extend_at: dict[str, float] = {}  # by receipt, on the event loop's clock
        self._changed = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set and the messages in flight are finished, or `drain_s` is over.

        It may be run again after an error. Messages that were in flight return after their visibility.
        """
        self._handling = self._unfinished = 0
        self._acks.clear()
        self._extend_at.clear()
        async with asyncio.TaskGroup() as self._tasks:
            self._stopped = self._tasks.create_task(stop.wait())
            self._stopped.add_done_callback(lambda _: self._changed.set())
            heartbeat = self._tasks.create_task(self._extend_visibility())
            while not self._stopped.done():
                with self._loop.guard():
                    capacity = await self._free_capacity()
                    if capacity > 0 and not self._stopped.done():
                        await self._receive(capacity)
                    self._loop.worked()
                await self._sleep(self._loop.pause_s())
            await self._drain()
            heartbeat.cancel()

    async def _free_capacity(self) -> int:
        """Return how many messages may be received now. If none, first wait until that may have changed."""
        await self._sleep(max(self._store_backoff.pause_s(), self._queue_backoff.pause_s()))
        capacity = min(BATCH, self._config.max_in_flight - self._unfinished)
        if capacity <= 0:
            self._changed.clear()
            if not self._stopped.done():
                await self._changed.wait()
            return 0
        if self._available_slots is not None:
            try:
                free = await self._available_slots()
            except Retryable as error:
                self._report_unavailable(self._store_backoff, error)
                return 0
            self._report_recovered(self._store_backoff, "database")
            if free <= 0:
                await self._sleep(NO_SLOT_PAUSE_S)
            capacity = min(capacity, free)
            if 0 < free < BATCH and self._has_backlog:
                self._has_backlog = False
                await self._sleep(FILL_S)
                return 0
        return min(capacity, 1) if self._store_backoff.failures else capacity

    async def _receive(self, limit: int) -> None:
        """Receive messages and start to handle them."""
        self.stats.receive_calls += 1
        polling = asyncio.ensure_future(self._queue.receive(limit, self._config.wait_s, self._config.visibility_s))
        try:
            await asyncio.wait({polling, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopped.done():
                await asyncio.wait({polling}, timeout=LAST_POLL_S)
            if not polling.done():
                # Messages that it has just received return after their visibility.
                polling.cancel()
                await asyncio.wait({polling})
                return
            messages = polling.result()
        except QueueUnavailable as error:
            self._report_unavailable(self._queue_backoff, error)
            return
        finally:
            polling.cancel()
        self._report_recovered(self._queue_backoff, self._config.dependency)
        self.stats.received += len(messages)
        self._has_backlog = len(messages) == limit
        half_time = asyncio.get_running_loop().time() + self._config.visibility_s / 2
        self._extend_at.update((message.receipt, half_time) for message in messages)
        self._handling += len(messages)
        self._unfinished += len(messages)
        for first in range(0, len(messages), self._config.group_size):
            self._spawn(self._process(messages[first : first + self._config.group_size]))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _process(self, group: Sequence[ReceivedMessage]) -> None:
        try:
            handled = await self._handle_with_retry(group)
        except Exception as error:  # noqa: BLE001 - a bug with one message must not stop the others
            if len(group) > 1:
                for message in group:
                    await self._process([message])
            else:
                await self._handle_failure(group[0], error)
            return
        self._forget(group)
        if handled:
            reach(Failpoint.MESSAGE_HANDLED)
            self._acks += [message.receipt for message in group]
            self._send_acks()
        else:
            await self._return_to_queue(group, GIVEN_BACK_S)

    async def _handle_with_retry(self, group: Sequence[ReceivedMessage]) -> bool:
        """Return False if stopped while a dependency is unavailable. Other errors of `handle` are raised."""
        backoff, successes = Backoff(self._rng), self._successes
        while True:
            try:
                await self._handle(group)
            except (StoreUnavailable, QueueUnavailable) as error:
                self._report_unavailable(self._store_backoff, error)
                backoff.failed()
                if backoff.failures >= TRIES_IN_PLACE and self._successes > successes:
                    raise
                if self._stopped.done():
                    return False
                await self._sleep(backoff.pause_s())
            else:
                self._successes += len(group)
                self._report_recovered(self._store_backoff, "database")
                return True

    async def _handle_failure(self, message: ReceivedMessage, error: Exception) -> None:
        self._forget([message])
        facts = {"message_id": message.message_id, "receive_count": message.receive_count}
        if isinstance(error, AnotherVersion):
            if message.receive_count <= len(ANOTHER_VERSION_WAITS_S):
                self._log.warning("message.of_another_version", **facts)
                await self._return_to_queue([message], ANOTHER_VERSION_WAITS_S[message.receive_count - 1])
                return
            error = Permanent(f"{error}; no process knew it for an hour")
        if isinstance(error, Permanent):
            self._log.warning("message.dead", error=type(error).__name__, at=location(error), **facts)
            with self._loop.guard():
                try:
                    await self._queue.dead_letter(message, f"{type(error).__name__}: {error}")
                    self.stats.dead += 1
                except (QueueUnavailable, Permanent) as refused:
                    # It returns after its visibility, until it is dead-lettered or reaches the receive limit.
                    self._log.error("message.not_dead", error=type(refused).__name__, **facts)
            self._leave(1)
            return
        first_s = error.retry_after_s if isinstance(error, Retryable) else FIRST_RETRY_S
        if not isinstance(error, Retryable):
            self.stats.failures += 1
            self._log.error("message.failed", error=type(error).__name__, at=location(error), **facts)
        doublings = min(max(message.receive_count - 1, 0), 16)
        delay_s = min(LONGEST_RETRY_S, first_s * 2.0**doublings * self._rng.uniform(1.0, 1.25))
        await self._return_to_queue([message], math.ceil(delay_s))

    async def _return_to_queue(self, group: Sequence[ReceivedMessage], delay_s: int) -> None:
        with self._loop.guard():
            try:
                await self._queue.change_visibility([message.receipt for message in group], delay_s)
                self.stats.retried += len(group)
            except QueueUnavailable as error:
                self._report_unavailable(self._queue_backoff, error)  # the messages return after their visibility
        self._leave(len(group))

    def _forget(self, group: Sequence[ReceivedMessage]) -> None:
        """End the heartbeat. An extension after a delay was set would undo the delay."""
        for message in group:
            self._extend_at.pop(message.receipt, None)
        self._handling -= len(group)

    def _leave(self, messages: int) -> None:
        self._unfinished -= messages
        self._changed.set()
        self._send_acks()

    def _send_acks(self) -> None:
        while len(self._acks) >= BATCH or (self._acks and self._handling == 0):
            self._delete_ten()
        if self._acks and self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_DELAY_S, self._on_ack_timer)

    def _on_ack_timer(self) -> None:
        self._ack_timer = None
        if self._acks:
            self._delete_ten()
        self._send_acks()

    def _delete_ten(self) -> None:
        receipts, self._acks = self._acks[:BATCH], self._acks[BATCH:]
        self._spawn(self._delete(receipts))

    async def _delete(self, receipts: Sequence[str]) -> None:
        backoff = Backoff(self._rng)
        with self._loop.guard():
            while backoff.failures < DELETE_TRIES:
                self.stats.delete_calls += 1
                try:
                    await self._queue.delete(receipts)
                except QueueUnavailable as error:
                    self._report_unavailable(self._queue_backoff, error)
                    backoff.failed()
                    await self._sleep(backoff.pause_s())
                else:
                    self.stats.acked += len(receipts)
                    break
        self._leave(len(receipts))

    async def _extend_visibility(self) -> None:
        clock, visibility_s = asyncio.get_running_loop().time, self._config.visibility_s
        while True:
            await asyncio.sleep(visibility_s / 10)
            due = [receipt for receipt, at in self._extend_at.items() if at <= clock()]
            # The next pass tries again after an error.
            with self._loop.guard(), suppress(QueueUnavailable):
                for first in range(0, len(due), BATCH):
                    receipts = [receipt for receipt in due[first : first + BATCH] if receipt in self._extend_at]
                    await self._queue.change_visibility(receipts, visibility_s)
                    half_time = clock() + visibility_s / 2
                    self._extend_at.update((receipt, half_time) for receipt in receipts if receipt in self._extend_at)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._config.drain_s):
                while self._unfinished:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._log.error("drain.over", unfinished=self._unfinished)
            for task in self._working:
                task.cancel()
            if self._ack_timer is not None:
                self._ack_timer.cancel()

    async def _sleep(self, pause_s: float) -> None:
        """Wait for the pause or for stop, whichever is first."""
        if pause_s > 0:
            await asyncio.wait({self._stopped}, timeout=pause_s)

    def _report_unavailable(self, backoff: Backoff, error: Exception) -> None:
        backoff.failed()
        if isinstance(error, QueueUnavailable):
            self._loop.availability.lost(self._config.dependency, error)
        elif is_database_lost(error):
            self._loop.availability.lost("database", error)
        elif backoff.failures == 1:
            self._log.warning("consumer.waits", error=type(error).__name__, at=location(error))

    def _report_recovered(self, backoff: Backoff, dependency: str) -> None:
        if backoff.failures:
            self._loop.availability.found(dependency)
        backoff.worked()
