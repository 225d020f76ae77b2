"""Wake one waiting receive when another process has sent a message, over one LISTEN connection."""

import asyncio
from collections import deque

import asyncpg

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.loops import Loop, rest

#: A connection that only listens does not notice a fail-over. This often it checks that its server is writable.
CHECK_EVERY_S = 5.0
CHECK_TIMEOUT_S = 5.0


class WakeUp:
    """Each notification wakes the longest waiting waiter. Without a waiter it is kept for the next one."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._kept = False

    def notify(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._kept = True

    async def wait(self, timeout_s: float) -> None:
        """Return after a notification or after the timeout."""
        if self._kept:
            self._kept = False
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            self._discard(waiter)
        except asyncio.CancelledError:
            # Notified and cancelled at the same moment: the notification belongs to the next waiter.
            if waiter.done() and not waiter.cancelled():
                self.notify()
            else:
                self._discard(waiter)
            raise

    def _discard(self, waiter: asyncio.Future[None]) -> None:
        # Other tasks run between the cancellation and this line, so `notify` may have removed it already.
        if waiter in self._waiters:
            self._waiters.remove(waiter)


class Listener:
    """Listens on a channel with one connection of the pool, again after every loss, and notifies `wake_up`."""

    def __init__(self, pool: Pool, channel: str, loop: Loop) -> None:
        self.wake_up = WakeUp()
        self._pool = pool
        self._channel = channel
        self._loop = loop
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start listening. Does nothing if it already listens."""
        if self._task is None:
            self._task = asyncio.create_task(self._loop.run(self._listen_once, asyncio.Event()))

    async def stop(self) -> None:
        """Stop listening and return the connection to the pool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _listen_once(self) -> None:
        """Listen until the connection is lost or its server is read-only. Raises StoreUnavailable."""
        lost = asyncio.Event()

        def on_loss(_: object) -> None:
            lost.set()

        def on_notify(*_: object) -> None:
            self.wake_up.notify()

        async with connection_of(self._pool) as connection:
            connection.add_termination_listener(on_loss)
            await connection.add_listener(self._channel, on_notify)
            try:
                # No listener heard of the messages that were sent before this moment.
                self.wake_up.notify()
                self._loop.worked()
                while not lost.is_set():
                    await rest(CHECK_EVERY_S, lost)
                    if await connection.fetchval("SHOW transaction_read_only", timeout=CHECK_TIMEOUT_S) == "on":
                        raise asyncpg.ReadOnlySQLTransactionError("the listener is connected to a read-only server")
            finally:
                if not connection.is_closed():
                    connection.remove_termination_listener(on_loss)
                    await connection.remove_listener(self._channel, on_notify)
