"""A real PostgreSQL in haste, and its databases by name."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from ringback.embedded.server import PostgresServer

#: A database per test is mostly fsync, and what survives a crash of the machine is proved on servers of its own.
IN_HASTE = ("fsync", "full_page_writes", "synchronous_commit")


@contextmanager
def server_in_haste(data_dir: Path) -> Iterator[str]:
    """Its administrator's URL. Enter it on the main thread: the kernel ties the server's life to that."""
    server = PostgresServer(data_dir)
    server.start()
    url = server.superuser_url
    try:
        statements = [f"ALTER SYSTEM SET {setting} = off" for setting in IN_HASTE]
        asyncio.run(execute(url, *statements, "SELECT pg_reload_conf()"))
        yield url
    finally:
        server.stop()


#: For a database whose provider is the emulator, or a test's own; a start would write the same.
EMULATED = "UPDATE installation SET emulated = true"


def named(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


async def copy_database(url: str, template: str, name: str) -> str:
    """The copy's URL. A copy takes a tenth of a migration's time."""
    await execute(url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
    return named(url, name)


@contextmanager
def short_lived_copy(url: str, template: str) -> Iterator[str]:
    """The URL of a copy that is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy = asyncio.run(copy_database(url, template, name))
    try:
        yield copy
    finally:
        asyncio.run(execute(url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
