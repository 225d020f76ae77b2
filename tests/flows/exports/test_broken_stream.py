"""An export whose database connection breaks while the body streams ends with an error that the client sees."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import httpx
import pytest
from starlette.types import ASGIApp

from benchmarks.analytics import fill_attempts
from tests.flows.analytics.conftest import KEY
from tests.flows.rollups.conftest import CountingStack
from tests.postgresql import short_lived_copy
from tests.web.raw import served

#: More bytes than the buffers between server and client hold, so that the server waits for the client.
ATTEMPTS = 30_000
PATH = "/v1/exports/attempts.{}?from=2026-10-31&to=2026-12-02"
SMALL_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
#: The backends that wait for a lock of this session.
WAITING = "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[str]:
    async def fill(url: str) -> None:
        connection = await asyncpg.connect(url)
        await fill_attempts(connection, ATTEMPTS, datetime(2026, 12, 1, tzinfo=UTC), seed=1)
        await connection.execute("""UPDATE attempts SET counted = '{"outcome": "completed"}'""")
        await connection.close()

    with short_lived_copy(server_url, template_database) as url:
        asyncio.run(fill(url))
        yield url


@pytest.fixture
def database_url(filled: str) -> str:
    return filled


@pytest.fixture
async def port(application: ASGIApp) -> AsyncIterator[int]:
    async with served(application) as server:
        yield server.port


@asynccontextmanager
async def no_page_is_read(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Keep every later page of an export waiting for a lock."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def terminate_the_reader(connection: asyncpg.Connection) -> None:
    while not (waiting := await connection.fetch(WAITING)):
        await asyncio.sleep(0.01)
    assert [await connection.fetchval("SELECT pg_terminate_backend($1)", row["pid"]) for row in waiting] == [True]


async def take_all(parts: AsyncIterator[bytes], came: list[bytes]) -> None:
    async for part in parts:
        came.append(part)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
async def test_a_client_sees_that_its_export_breaks_off(
    stack: CountingStack, port: int, database_url: str, suffix: str
) -> None:
    transport = httpx.AsyncHTTPTransport(socket_options=[SMALL_BUFFER])
    async with (
        httpx.AsyncClient(transport=transport, headers={"X-API-Key": KEY}, timeout=30) as client,
        client.stream("GET", f"http://127.0.0.1:{port}{PATH.format(suffix)}") as answer,
    ):
        assert answer.status_code == 200
        parts, came = answer.aiter_raw(), []
        came.append(await anext(parts))
        async with no_page_is_read(database_url) as connection:
            breaking = asyncio.create_task(terminate_the_reader(connection))
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await take_all(parts, came)
            await breaking
    # How many pages had come varies. The first covers half a day and has 167 rows.
    assert 167 <= b"".join(came).count(b"\n") < ATTEMPTS


async def test_an_export_that_breaks_off_has_no_last_chunk_for_an_older_client(
    stack: CountingStack, port: int, database_url: str
) -> None:
    """HTTP/1.0, as nginx speaks to the servers behind it. There the end of the connection could pass for the end."""
    wire = socket.create_connection(("127.0.0.1", port))
    wire.setsockopt(*SMALL_BUFFER)
    reader, writer = await asyncio.open_connection(sock=wire)
    writer.write(f"GET {PATH.format('csv')} HTTP/1.0\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
    text = await reader.read(65536)
    assert b"transfer-encoding: chunked" in text
    async with no_page_is_read(database_url) as connection:
        breaking = asyncio.create_task(terminate_the_reader(connection))
        while part := await reader.read(65536):
            text += part
        await breaking
    writer.close()
    assert not text.endswith(b"0\r\n\r\n")
