"""The PostgreSQL below the stories that need no process of the product's: a migrated database for each."""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from ringback.adapters.postgres.schema import upgrade
from ringback.embedded.server import PostgresServer

TEMPLATE = "proof_template"
NOON = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)


class VirtualClock:
    """Stands still until it is told to move; monotonic time moves with it."""

    def __init__(self) -> None:
        self._now = NOON

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def named(url: str, database: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}" + (f"?{query}" if query else "")


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Ground:
    """`template` is the name of a migrated database; `home` is the run's own directory and goes with it."""

    url: str
    template: str
    home: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def database(self, story: str) -> str:
        name = f"proof_{story}_{next(self.numbers)}_{abs(hash(self.home)) % 10**6}"
        await execute(self.url, f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY wal_log")
        return named(self.url, name)


@contextmanager
def embedded_ground() -> Iterator[Ground]:
    """On a server of its own, without fsync: what survives a crash is proved on others."""
    with tempfile.TemporaryDirectory(prefix="ringback-proof-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        with PostgresServer(home) as server:
            url = server.start()
            fast = [f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes", "synchronous_commit")]
            asyncio.run(execute(url, *fast, "SELECT pg_reload_conf()", f"CREATE DATABASE {TEMPLATE}"))
            asyncio.run(upgrade(named(url, TEMPLATE), instance="proof"))
            yield Ground(url, TEMPLATE, home)
