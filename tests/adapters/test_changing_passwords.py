"""A password that changes while processes run: a rotated one, or a token of IAM that is valid for minutes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool, connection_of, open_pool
from ringback.adapters.postgres.schema import upgrade
from ringback.domain.errors import QueueUnavailable, StoreUnavailable
from ringback.embedded.server import PostgresServer
from ringback.ports import OutgoingMessage
from tests.postgresql import execute, programs

#: Before the other lines of the file, so that the product's role needs its password.
ACCESS = "local all ringback scram-sha-256\n"
#: A password of IAM. It has colons, as the last field of a line in a password file may.
TOKEN = "db.example.com:5432/?Action=connect&DBUser=ringback&X-Amz-Expires=900&X-Amz-Signature=0a%2Fb"


@dataclass(frozen=True)
class Server:
    """`admin` is the administrator's URL, `url` the product's, with a password file in `home`."""

    admin: str
    url: str
    home: Path

    async def set_password(self, password: str) -> None:
        await execute(self.admin, f"ALTER ROLE ringback PASSWORD '{password}'")

    def write_password(self, password: str) -> None:
        """Replace the password file, as a job that fetches a token does."""
        fresh = self.home / "pgpass.fresh"
        fresh.touch(mode=0o600)
        fresh.write_text(f"*:*:ringback:ringback:{password}\n")
        fresh.replace(self.home / "pgpass")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        postgres = PostgresServer(home / "data", programs())
        url = postgres.start()
        try:
            access = home / "data/postgres/pgdata/pg_hba.conf"
            access.write_text(ACCESS + access.read_text())
            asyncio.run(execute(postgres.superuser_url, "SELECT pg_reload_conf()"))
            yield Server(postgres.superuser_url, f"{url}&passfile={home}/pgpass", home)
        finally:
            postgres.stop()


@pytest.fixture
async def pool(server: Server) -> AsyncIterator[Pool]:
    """A pool with one open connection."""
    await server.set_password("first")
    server.write_password("first")
    await upgrade(server.url)
    opened = await open_pool(server.url, max_size=4)
    yield opened
    opened.terminate()


async def lend_two(pool: Pool) -> None:
    """Use two connections at the same time, so that the second is a new one."""
    async with connection_of(pool) as first, connection_of(pool) as second:
        assert await first.fetchval("SELECT 1") == await second.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("password", ["second", TOKEN])
async def test_a_new_connection_reads_the_password_file_anew(server: Server, pool: Pool, password: str) -> None:
    await server.set_password(password)
    server.write_password(password)
    await lend_two(pool)


async def test_open_connections_outlive_their_password(server: Server, pool: Pool) -> None:
    """PostgreSQL asks for a password at the start of a session alone."""
    await server.set_password("second")
    async with connection_of(pool) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_until_the_file_has_the_new_password_the_database_is_unavailable(server: Server, pool: Pool) -> None:
    """A refused password is no bug of the work in hand: it is tried again, and no receive of a message is used up."""
    await server.set_password("second")
    queue = PostgresQueue(pool, "calls")
    async with connection_of(pool) as held:
        assert await held.fetchval("SELECT 1") == 1
        ends = await asyncio.gather(lend_two(pool), queue.send([OutgoingMessage("x")]), return_exceptions=True)
        assert [type(end) for end in ends] == [StoreUnavailable, QueueUnavailable]
        server.write_password("second")
        assert await queue.send([OutgoingMessage("x")]) == []
    await queue.close()
