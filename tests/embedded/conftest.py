"""A data directory made once and lent from test to test, since initdb is most of a first start."""

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
    """Where the one data directory lies while no test has it."""
    home = tmp_path_factory.mktemp("lent") / "postgres"
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server_at(lent: Path, short_dir: Path, open_dir: Path) -> Iterator[Callable[..., PostgresServer]]:
    """Makes a server whose data is already there; all are stopped at the end and nothing of them stays."""
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
    """One question to a running server, over a connection of its own."""

    async def fetch(url: str, sql: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    return fetch


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own are 0700 above."""
    path = Path(tempfile.mkdtemp(prefix="open-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Short enough for a socket beside the data; pytest's own are not when its workers run in parallel."""
    path = Path(tempfile.mkdtemp(prefix="short-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to give up")
