"""A database that is restored for each test equals the template, whatever was done with it."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.postgresql import ReusedDatabase, execute, named

CALL = (
    "INSERT INTO contacts VALUES ('crm-1', '+14155550100', NULL, NULL, '{}', now())",
    "INSERT INTO outbox (kind, message_id, payload, created_at, due_at) VALUES ('abt_event', 'm', '{}', now(), now())",
    "UPDATE installation SET paused_at = now(), emulated = false, instance = 'another'",
)


@pytest.fixture
def reused(server_url: str, template_database: str) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(server_url, template_database)
    yield reused
    reused.drop()


def content(url: str) -> dict[str, str]:
    """The rows of every table and the state of every sequence."""

    async def read() -> dict[str, str]:
        connection = await asyncpg.connect(url)
        relations = "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        try:
            tables = [row[0] for row in await connection.fetch(f"{relations} AND relkind = 'r'")]
            sequences = [row[0] for row in await connection.fetch(f"{relations} AND relkind = 'S'")]
            rows = {name: await connection.fetch(f"SELECT * FROM {name} AS one ORDER BY one::text") for name in tables}
            rows |= {name: await connection.fetch(f"SELECT last_value, is_called FROM {name}") for name in sequences}
        finally:
            await connection.close()
        return {name: str(found) for name, found in rows.items()}

    return asyncio.run(read())


def test_rows_and_sequences_are_those_of_the_template(reused, server_url, template_database):
    pristine = content(named(server_url, template_database))
    url = reused.restore()
    assert content(url) == pristine
    asyncio.run(execute(url, *CALL))
    assert content(url) != pristine
    assert reused.restore() == url
    assert content(url) == pristine


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE another (x int)",
        "DROP TABLE outbox CASCADE",
        "ALTER TABLE installation RENAME TO hidden_installation",
        "ALTER TABLE calls ALTER COLUMN agent_id DROP NOT NULL",
        "ALTER TABLE calls ADD CONSTRAINT never CHECK (false) NOT VALID",
        "CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_a_changed_schema_is_followed_by_a_new_copy(reused, server_url, template_database, change):
    before = reused.restore()
    asyncio.run(execute(before, change))
    after = reused.restore()
    assert after != before
    assert content(after) == content(named(server_url, template_database))


async def test_no_session_of_the_test_before_is_left(reused):
    url = await asyncio.to_thread(reused.restore)
    left = await asyncpg.connect(url)
    await left.execute("BEGIN")
    await left.execute(CALL[0])
    await left.execute("SELECT pg_advisory_lock(7)")
    assert await asyncio.to_thread(reused.restore) == url
    assert left.is_closed()
    fresh = await asyncpg.connect(url)
    assert await fresh.fetchval("SELECT count(*) FROM contacts") == 0
    assert await fresh.fetchval("SELECT pg_try_advisory_lock(7)")
    await fresh.close()
