"""A server that has become read-only: no connection to it is used again, and readiness reports it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from ringback.adapters.postgres import wake
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool, connection_of, open_pool
from ringback.adapters.postgres.schema import upgrade
from ringback.domain.errors import QueueUnavailable, StoreUnavailable
from ringback.ports import OutgoingMessage
from tests.postgresql import execute, named, server_without_fsync, short_lived_copy


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server that may become read-only without harm to other tests."""
    with server_without_fsync(tmp_path_factory.mktemp("read-only")) as url:
        asyncio.run(execute(url, "CREATE DATABASE kept"))
        asyncio.run(upgrade(named(url, "kept")))
        yield url


@pytest.fixture
def url(own_server: str) -> Iterator[str]:
    with short_lived_copy(own_server, "kept") as copy:
        yield copy


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(url, max_size=4)
    yield opened
    opened.terminate()


@pytest.fixture
async def set_read_only(url: str) -> AsyncIterator[Callable[[bool], Awaitable[None]]]:
    """Make existing and new sessions read-only, as a demotion or a full disk of a managed service does."""
    operator = await asyncpg.connect(url, server_settings={"application_name": "operator"})

    async def set_it(read_only: bool) -> None:
        await operator.execute("SET default_transaction_read_only = off")
        word = "on" if read_only else "off"
        await operator.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}")
        await operator.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(5):
            while True:
                probe = await asyncpg.connect(url)
                seen = await probe.fetchval("SHOW default_transaction_read_only")
                await probe.close()
                if seen == word:
                    return

    yield set_it
    await set_it(False)
    await operator.close()


async def pids_of(pool: Pool) -> set[int]:
    """Read from every connection of the pool, all lent at once."""

    async def one(barrier: asyncio.Barrier) -> int:
        async with connection_of(pool) as connection:
            await barrier.wait()
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

    barrier = asyncio.Barrier(pool.get_max_size())
    return set(await asyncio.gather(*(one(barrier) for _ in range(pool.get_max_size()))))


async def test_no_connection_that_met_a_read_only_server_is_lent_again(pool: Pool, set_read_only: Any) -> None:
    before = await pids_of(pool)
    await set_read_only(True)
    with pytest.raises(StoreUnavailable):
        async with connection_of(pool) as connection:
            await connection.execute("DELETE FROM queue_messages")
    await set_read_only(False)
    assert not before & await pids_of(pool)


async def test_a_read_only_server_is_not_connected_to(url: str, pool: Pool, set_read_only: Any) -> None:
    await set_read_only(True)
    with pytest.raises(StoreUnavailable, match="the server is read-only"):
        await open_pool(url, max_size=1)


async def test_within_a_transaction_too_the_connection_is_closed(pool: Pool, set_read_only: Any) -> None:
    before = await pids_of(pool)
    await set_read_only(True)
    with pytest.raises(StoreUnavailable):
        async with connection_of(pool) as connection, connection.transaction():
            await connection.execute("DELETE FROM queue_messages")
    await set_read_only(False)
    assert not before & await pids_of(pool)


async def test_a_lost_connection_is_named_and_closed_and_the_next_one_works(pool: Pool) -> None:
    with pytest.raises(StoreUnavailable, match="ConnectionDoesNotExist"):
        async with connection_of(pool) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with connection_of(pool) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_statement_that_hangs_takes_its_connection_with_it(pool: Pool) -> None:
    before = await pids_of(pool)
    with pytest.raises(StoreUnavailable):
        async with connection_of(pool) as connection:
            await connection.execute("SELECT pg_sleep(30)", timeout=0.1)
    assert len(before - await pids_of(pool)) == 1


async def test_an_error_of_the_statement_alone_keeps_the_connection(pool: Pool) -> None:
    before = await pids_of(pool)
    for statement in ("SELECT 1 / 0", "SELECT missing", "INSERT INTO queue_messages (id) VALUES (1)"):
        with pytest.raises(asyncpg.PostgresError):
            async with connection_of(pool) as connection:
                await connection.execute(statement)
    assert await pids_of(pool) == before


async def test_the_queue_and_its_listener_leave_the_read_only_server_and_reconnect(
    url: str, pool: Pool, set_read_only: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "CHECK_EVERY_S", 0.1)
    queue = PostgresQueue(pool, "calls")
    assert await queue.receive(10, 0.2, 30) == []
    async with asyncio.timeout(30):
        while (listening := await _listener(url)) is None:
            await asyncio.sleep(0.05)
    await set_read_only(True)
    with pytest.raises(QueueUnavailable):
        await queue.send([OutgoingMessage("refused")])
    async with asyncio.timeout(5):
        while await _listener(url) is not None:
            await asyncio.sleep(0.05)
    await set_read_only(False)
    async with asyncio.timeout(10):
        while await _listener(url) in (None, listening):
            await asyncio.sleep(0.05)
    assert await queue.send([OutgoingMessage("taken")]) == []
    assert [message.body for message in await queue.receive(10, 1, 30)] == ["taken"]
    await queue.close()


async def _listener(url: str) -> int | None:
    """Find the listening backend. Its last statement is its regular check."""
    observer = await asyncpg.connect(url)
    found = await observer.fetchval(
        """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ringback'
           AND (query LIKE 'LISTEN%' OR query = 'SHOW transaction_read_only') AND state = 'idle'"""
    )
    await observer.close()
    return int(found) if found is not None else None
