"""A data directory that is made once and lent to each test, since initdb is most of a first start."""

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ringback.embedded.binaries import Binaries
from ringback.embedded.processes import postgres_processes
from ringback.embedded.server import PostgresServer


@pytest.fixture(scope="session")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The location of the data directory while no test uses it."""
    home = tmp_path_factory.mktemp("lent") / "postgres"
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server_at(lent: Path, short_dir: Path, open_dir: Path) -> Iterator[Callable[..., PostgresServer]]:
    """Make a server with existing data. At the end all are stopped and removed."""
    servers: list[PostgresServer] = []
    borrowed: list[Path] = []

    def make(data_dir: Path, binaries: Binaries | None = None) -> PostgresServer:
        pgdata = data_dir / "postgres" / "pgdata"
        if pgdata not in borrowed:
            if not (lent / "pgdata").exists():
                with PostgresServer(lent.parent):
                    pass
            pgdata.parent.mkdir(parents=True)
            (lent / "pgdata").rename(pgdata)
            borrowed.append(pgdata)
        servers.append(PostgresServer(data_dir, binaries))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    for pgdata in borrowed:
        assert postgres_processes(pgdata) == []
        pgdata.rename(lent / "pgdata")


@pytest.fixture
def ask() -> Callable[..., Awaitable[Any]]:
    """Run one query on a server, over its own connection."""

    async def fetch(url: str, sql: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    return fetch


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user may enter. Pytest's own are below one with mode 0700."""
    path = Path(tempfile.mkdtemp(prefix="open-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A path short enough for a socket beside the data. Pytest's own are too long with parallel workers."""
    path = Path(tempfile.mkdtemp(prefix="short-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to give up")
