"""Leases of outbox rows and messages change no index, also beside a previous version that does not know of them."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.outbox import INSERT_OUTBOX
from ringback.adapters.postgres.schema import upgrade
from ringback.adapters.postgres.store import PostgresStore
from ringback.ports import OutgoingMessage
from tests.postgresql import named

from .test_schema import _to_version

NOW = datetime(2026, 11, 1, 17, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
#: Of this backend since its transaction began, or not reported yet.
UPDATES = "SELECT pg_stat_get_xact_tuples_updated($1::regclass), pg_stat_get_xact_tuples_hot_updated($1::regclass)"
PREVIOUS_OUTBOX = """
INSERT INTO outbox (kind, message_id, order_key, payload, created_at, due_at)
VALUES ('abt_event', $1, $1, '{}', $2, $2)
"""
PREVIOUS_MESSAGE = """
INSERT INTO queue_messages (queue, body, sent_at, visible_at)
VALUES ('events', $1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
"""


@pytest.fixture
async def one_connection(database_url):
    opened = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    yield opened
    opened.terminate()


async def taken(store, now):
    return [row.message_id for row in await store.take_outbox(["abt_event"], now, now + timedelta(minutes=1), 10)]


async def test_a_row_that_is_taken_stays_in_its_place_and_is_free_after_the_lease(pool):
    store = PostgresStore(pool)
    async with pool.acquire() as connection:
        names = ["e1", "e2"]
        await connection.execute(INSERT_OUTBOX, ["abt_event"] * 2, names, names, names, ['"x"'] * 2, [NOW] * 2)
    before = await pool.fetch("SELECT ready_at, due_at FROM outbox ORDER BY id")
    assert await taken(store, NOW) == ["e1", "e2"]
    assert await taken(store, NOW) == []
    after = await pool.fetch("SELECT ready_at, due_at FROM outbox ORDER BY id")
    assert [row["ready_at"] for row in after] == [row["ready_at"] for row in before] == [NOW, NOW]
    assert [row["due_at"] for row in after] == [LATER, LATER]
    assert await taken(store, LATER) == ["e1", "e2"]


@pytest.mark.parametrize("table", ["outbox", "queue_messages"])
async def test_a_lease_is_an_update_without_an_index(one_connection, table):
    from ringback.adapters.postgres import message_queue, outbox

    async with one_connection.acquire() as connection:
        await connection.execute(PREVIOUS_OUTBOX, "e1", NOW)
        await connection.execute(PREVIOUS_MESSAGE, "{}", 0.0)
        async with connection.transaction():
            before = await connection.fetchrow(UPDATES, table)
            await connection.fetch(outbox.TAKE, ["abt_event"], NOW, LATER, 10)
            await connection.fetch(message_queue._RECEIVE, "events", 10, 30.0, 5)
            after = await connection.fetchrow(UPDATES, table)
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]


async def test_what_the_previous_version_wrote_is_taken_when_it_is_due(pool):
    store, queue = PostgresStore(pool), PostgresQueue(pool, "events")
    async with pool.acquire() as connection:
        for name, at in (("due", NOW), ("waits", LATER)):
            await connection.execute(PREVIOUS_OUTBOX, name, at)
        for body, delay_s in (("visible", 0.0), ("delayed", 60.0)):
            await connection.execute(PREVIOUS_MESSAGE, body, delay_s)
    assert await taken(store, NOW) == ["due"]
    assert await taken(store, LATER) == ["due", "waits"]
    await queue.send([OutgoingMessage("later", 60), OutgoingMessage("now")])
    assert [message.body for message in await queue.receive(10, 0, 30)] == ["visible", "now"]
    assert await queue.receive(10, 0, 30) == []
    await queue.close()


async def test_rows_that_wait_at_the_upgrade_are_not_read_before_their_time(server_url):
    name = "before_hot"
    server = await asyncpg.connect(server_url)
    await server.execute(f"CREATE DATABASE {name}")
    url = named(server_url, name)
    await asyncio.to_thread(_to_version, url, "0009")
    old = await asyncpg.connect(url)
    far = datetime.now(UTC) + timedelta(hours=5)
    await old.execute(PREVIOUS_OUTBOX, "due", NOW)
    await old.execute(PREVIOUS_OUTBOX, "waits", far)
    await upgrade(url)
    rows = await old.fetch("SELECT message_id, ready_at = due_at AS moved FROM outbox ORDER BY id")
    assert [tuple(row) for row in rows] == [("due", False), ("waits", True)]
    await old.close()
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()
