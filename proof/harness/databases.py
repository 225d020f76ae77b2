"""Migrated databases on one PostgreSQL, and their rows as dictionaries."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.schema import upgrade
from tests.postgresql import EMULATED, copy_database, execute, named, server_without_fsync

Json = dict[str, Any]
INSTANCE = "proof-instance"


async def fetch(url: str, statement: str, *values: object) -> list[Json]:
    """Over a connection of its own, because a database under fault drops the connections of a pool."""
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


def rows(url: str, statement: str, *values: object) -> list[Json]:
    return asyncio.run(fetch(url, statement, *values))


async def migrated(url: str, name: str) -> str:
    """The URL of a new, migrated database whose provider counts as emulated."""
    await execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    await upgrade(named(url, name), instance=INSTANCE)
    await execute(named(url, name), EMULATED)
    return named(url, name)


@dataclass(frozen=True, slots=True)
class Databases:
    """`template` names a migrated database on the server at `url`; `home` is the run's own directory."""

    url: str
    template: str
    home: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def copy(self, purpose: str) -> str:
        name = f"proof_{purpose}_{next(self.numbers)}_{abs(hash(self.home)) % 10**6}"
        return await copy_database(self.url, self.template, name)

    @asynccontextmanager
    async def pool(self, purpose: str, max_size: int = 8) -> AsyncIterator[Pool]:
        """Connections to a copy of its own."""
        pool = await open_pool(await self.copy(purpose), max_size=max_size)
        try:
            yield pool
        finally:
            pool.terminate()


@contextmanager
def embedded_databases() -> Iterator[Databases]:
    """On a server of its own without fsync."""
    with tempfile.TemporaryDirectory(prefix="ringback-proof-", ignore_cleanup_errors=True) as directory:
        with server_without_fsync(Path(directory)) as url:
            asyncio.run(migrated(url, "proof_template"))
            yield Databases(url, "proof_template", Path(directory))
