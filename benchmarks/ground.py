"""The embedded PostgreSQL of a run, below a temporary directory: a migrated database for each side of each path."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from benchmarks.payloads import INSTANCE
from ringback.adapters.postgres.schema import upgrade
from ringback.embedded.server import PostgresServer

TEMPLATE = "migrated"

_WITHOUT_DEFAULT = """
SELECT format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %s', table_name, column_name,
              CASE data_type WHEN 'boolean' THEN 'false' ELSE '0' END)
FROM information_schema.columns
WHERE table_name IN ('calls', 'tasks', 'attempts') AND table_schema = 'public' AND is_nullable = 'NO'
  AND column_default IS NULL AND data_type IN ('boolean', 'smallint', 'integer', 'bigint')
"""

_OTHERS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
"""
_UPDATES = "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE n_tup_upd > 0"


def named(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}?{query}"


async def give_defaults(connection: Any) -> None:
    """The floors and fillings write what matters to them; the product names every column and never sees these."""
    for row in await connection.fetch(_WITHOUT_DEFAULT):
        await connection.execute(row[0])


@dataclass(frozen=True, slots=True)
class Ground:
    """The server of a run. Logs and counts of its processes are in `directory`, which is deleted after the run."""

    directory: Path
    url: str
    server: PostgresServer

    async def prepare(self) -> None:
        """Migrates once; every database is a copy of the result."""
        await self._execute(f"CREATE DATABASE {TEMPLATE}")
        await upgrade(named(self.url, TEMPLATE), instance=INSTANCE)
        connection = await asyncpg.connect(named(self.url, TEMPLATE))
        try:
            await give_defaults(connection)
        finally:
            await connection.close()

    async def new_database(self, name: str) -> str:
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return named(self.url, name)

    def cpu_s(self) -> float:
        """CPU seconds of the postmaster, its living children and those it has seen end."""
        assert self.server.pid is not None, "the server runs until the run is over"
        postmaster = psutil.Process(self.server.pid)
        times = postmaster.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in postmaster.children():
            try:
                own = child.cpu_times()
            except psutil.NoSuchProcess:
                continue  # reaped since the list was made: the next reading has it among the children's
            total += own.user + own.system
        return float(total)

    async def updates(self, database: str) -> dict[str, tuple[int, int]]:
        """By table of a database whose sessions end: updates, and those of them that touched no index."""
        connection = await asyncpg.connect(named(self.url, database))
        try:
            # A session reports the last of what it did when it ends.
            while await connection.fetchval(_OTHERS):
                await asyncio.sleep(0.02)
            rows = await connection.fetch(_UPDATES)
        finally:
            await connection.close()
        return {name: (updates, hot) for name, updates, hot in rows}

    async def version(self) -> str:
        connection = await asyncpg.connect(self.url)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def open_ground() -> Iterator[Ground]:
    """To be entered on the main thread, which the server's life is tied to."""
    with tempfile.TemporaryDirectory(prefix="ringback-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # as root, PostgreSQL runs as another user and has to pass through
        server = PostgresServer(directory / "data")
        server.start()
        try:
            yield Ground(directory, server.superuser_url, server)
        finally:
            server.stop()
