"""The work of one side of a path: how it is put in, how much is left, and how much came of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.child import BenchmarkFailed
from benchmarks.paths import Path, Source
from benchmarks.seeding import Seeding

_UNSENT = "SELECT count(*) FROM outbox WHERE kind = 'call_message' AND delivered_at IS NULL AND dead_at IS NULL"
# A transaction gets a number when it writes for the first time.
_WRITTEN = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
# A job that a stopped process still holds would be done a second time when the process goes on.
_JOBS = "SELECT count(*) FROM pgqueuer"
_CHUNK = 200


@dataclass(slots=True)
class Work:
    """`connection` is the benchmark's own.

    `enqueue` runs a peer's own producer for so many calls from a first number on.
    """

    path: Path
    source: Source
    connection: Any
    seeding: Seeding
    queue_url: str = ""
    provider_url: str = ""
    sends_to_sqs: bool = False
    enqueue: Callable[[int, int], Awaitable[None]] | None = None
    filled: int = 0

    async def fill(self, count: int) -> int:
        """Put in about `count` pieces. Returns how many."""
        count -= count % 3  # a call has three webhooks
        if self.source in (Source.BROKER, Source.OWN_TABLES):
            assert self.enqueue is not None, "a peer has a producer"
            await self.enqueue(count, self.filled)
        else:
            fill = self.path.fill_sqs if self.source is Source.SQS else self.path.fill
            assert fill is not None, "a path without a filling is driven over HTTP"
            await self._send(await fill(self.seeding, self.connection, count))
        self.filled += count
        return count

    async def left(self) -> int:
        if self.source is Source.TABLE:
            return int(await self.ask(self.path.left))
        if self.source is Source.SQS:
            return int((await self._count())["left"])
        if self.source is Source.OWN_TABLES:
            return int(await self.ask(_JOBS))
        return self.filled - await self.done()

    async def done(self) -> int:
        if self.source in (Source.BROKER, Source.OWN_TABLES):
            return int(await fetch(f"{self.provider_url}/count"))
        if self.sends_to_sqs:
            return int((await self._count())["sent"])
        return int(await self.ask(self.path.done))

    async def unsent(self) -> int:
        """Call messages that are still in the outbox."""
        return int(await self.ask(_UNSENT))

    async def written(self) -> tuple[int, int]:
        """Return the bytes of WAL and the transactions that wrote, since the server was created."""
        wal_bytes, transactions = await self.connection.fetchrow(_WRITTEN)
        return wal_bytes, transactions

    async def ask(self, statement: str, *arguments: object) -> Any:
        return await self.connection.fetchval(statement, *arguments)

    async def _send(self, messages: Sequence[str]) -> None:
        """Put messages into the SQS stub."""
        for first in range(0, len(messages), _CHUNK):
            await fetch(self.queue_url.replace("/queue/", "/put/"), messages[first : first + _CHUNK])

    async def _count(self) -> dict[str, int]:
        counted: dict[str, int] = await fetch(self.queue_url.replace("/queue/", "/count/"))
        return counted


async def fetch(url: str, body: object = None) -> Any:
    """Ask a stub. Raises BenchmarkFailed if it does not respond."""
    data = None if body is None else json.dumps(body).encode()

    def ask() -> Any:
        try:
            with urlopen(Request(url, data), timeout=30) as response:
                return json.load(response)
        except OSError as error:
            raise BenchmarkFailed(f"{url}: {error}") from None

    return await asyncio.to_thread(ask)
