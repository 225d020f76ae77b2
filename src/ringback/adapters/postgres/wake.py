"""Wakes one waiting receive when another process has announced a message, over one LISTEN connection."""

import asyncio
from collections import deque

import asyncpg

from ringback.adapters.postgres.unavailable import GONE

RELISTEN_S = 0.5


class Bell:
    """Each ring wakes one waiter, the longest waiting; a ring that finds nobody is kept for the next who comes."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._kept = False

    def ring(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._kept = True

    async def wait(self, timeout_s: float) -> None:
        """Returns after a ring or after the time, whichever is first."""
        if self._kept:
            self._kept = False
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            self._leave(waiter)
        except asyncio.CancelledError:
            # Rung and cancelled in the same moment: the ring belongs to the next waiter.
            if waiter.done() and not waiter.cancelled():
                self.ring()
            else:
                self._leave(waiter)
            raise

    def _leave(self, waiter: asyncio.Future[None]) -> None:
        # A ring may have passed over it already: between its cancellation and this line others run.
        if waiter in self._waiters:
            self._waiters.remove(waiter)


class Listener:
    """Keeps one connection of the pool listening on a channel, again after every loss, and rings the bell."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", channel: str) -> None:
        self.bell = Bell()
        self._pool = pool
        self._channel = channel
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Does nothing if it runs; raises what ended it if that was not the database's absence."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_listening())
        elif self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Gives the connection back to the pool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _keep_listening(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._listen(connection)
            except GONE:
                pass
            await asyncio.sleep(RELISTEN_S)

    async def _listen(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        lost = asyncio.Event()

        def on_loss(_: object) -> None:
            lost.set()

        def on_notify(*_: object) -> None:
            self.bell.ring()

        connection.add_termination_listener(on_loss)
        await connection.add_listener(self._channel, on_notify)
        try:
            # What was sent before we listened was announced to nobody.
            self.bell.ring()
            await lost.wait()
        finally:
            if not connection.is_closed():
                connection.remove_termination_listener(on_loss)
                await connection.remove_listener(self._channel, on_notify)
