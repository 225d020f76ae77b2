"""Wakes one waiting receive when another process has announced a message, over one LISTEN connection."""

import asyncio
from collections import deque

import asyncpg

from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.loops import Loop, rest

#: A connection that only listens hears nothing of a fail-over: it is asked this often whether its server takes writes.
ASK_EVERY_S = 5.0
ASK_TIMEOUT_S = 5.0


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

    def __init__(self, pool: Pool, channel: str, loop: Loop) -> None:
        self.bell = Bell()
        self._pool = pool
        self._channel = channel
        self._loop = loop
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Does nothing if it runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._loop.run(self._listen_once, asyncio.Event()))

    async def stop(self) -> None:
        """Gives the connection back to the pool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _listen_once(self) -> None:
        """Until the connection is lost or leads to a server that takes no writes. Raises StoreUnavailable."""
        async with connection_of(self._pool) as connection:
            await self._listen(connection)

    async def _listen(self, connection: Connection) -> None:
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
            self._loop.worked()
            while not lost.is_set():
                await rest(ASK_EVERY_S, lost)
                if await connection.fetchval("SHOW transaction_read_only", timeout=ASK_TIMEOUT_S) == "on":
                    raise asyncpg.ReadOnlySQLTransactionError("the listening connection leads to a read-only server")
        finally:
            if not connection.is_closed():
                connection.remove_termination_listener(on_loss)
                await connection.remove_listener(self._channel, on_notify)
