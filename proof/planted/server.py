"""One PostgreSQL for all trials, because a server for each would take longer than the trials."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from ringback.embedded.server import PostgresServer

#: What survives a crash is proved elsewhere, on servers that keep their word.
IN_HASTE = ("fsync", "full_page_writes", "synchronous_commit")


@contextmanager
def server_in_haste() -> Iterator[str]:
    """Its URL. To be entered on the main thread, to which the server's life is tied."""
    with tempfile.TemporaryDirectory(prefix="planted-postgres-") as folder:
        server = PostgresServer(Path(folder))
        url = server.start()
        try:
            asyncio.run(_hurry(url))
            yield url
        finally:
            server.stop()


async def _hurry(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in IN_HASTE:
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
