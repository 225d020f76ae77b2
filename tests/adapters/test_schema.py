"""A database of any earlier version is brought to the newest one."""

import asyncio

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.border import PostgresBorder
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.schema import MIGRATIONS, NEWEST, upgrade
from ringback.domain.access import KnownKey, Role
from ringback.domain.errors import StartRefused
from ringback.web.auth import hash_key
from tests.postgresql import execute, named

#: An attempt holds its phone alone.
BEFORE_CONTACTS_ARE_HELD = "0002"


async def test_a_database_of_the_first_version_becomes_one_of_the_newest(server_url):
    name = "of_the_first_version"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    url = named(server_url, name)
    try:
        await asyncio.to_thread(_to_version, url, "0001")
        assert await upgrade(url)
        assert not await upgrade(url)
        old = await asyncpg.connect(url)
        assert await old.fetchval("SELECT version_num FROM alembic_version") == NEWEST
        assert await old.fetchval("SELECT count(*) FROM outbox WHERE refusals > 0") == 0
        await old.close()
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


@pytest.fixture
async def of_the_version_before(server_url):
    """The URL of a database that the previous version made, with its installation row."""
    name = "of_the_version_before"
    await execute(server_url, f"CREATE DATABASE {name}")
    url = named(server_url, name)
    await asyncio.to_thread(_to_version, url, "0002")
    await execute(url, "INSERT INTO installation (instance) VALUES ('old')")
    yield url
    await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_border_is_looked_at_before_a_database_is_upgraded(of_the_version_before):
    pool = await open_pool(of_the_version_before, max_size=1)
    border = PostgresBorder(pool)
    assert (await border.emulated(), await border.evidence()) == (None, None)
    with pytest.raises(StartRefused, match="ringback db upgrade"):
        await border.mark(True)
    pool.terminate()


async def test_an_upgrade_decides_nothing_about_the_border(of_the_version_before):
    assert await upgrade(of_the_version_before)
    connection = await asyncpg.connect(of_the_version_before)
    assert await connection.fetchval("SELECT emulated FROM installation") is None
    await connection.close()


async def test_the_previous_version_goes_on_making_keys_which_may_do_everything(of_the_version_before):
    before = "INSERT INTO api_keys (name, key_hash, created_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING"
    connection = await asyncpg.connect(of_the_version_before)
    await connection.execute(before, "made before", hash_key("one"))
    await upgrade(of_the_version_before)
    await connection.execute(before, "made beside", hash_key("two"))
    await connection.close()
    pool = await open_pool(of_the_version_before, max_size=1)
    found = [await PostgresApiKeys(pool).find(hash_key(key)) for key in ("one", "two")]
    assert found == [KnownKey("made before", Role.ADMIN), KnownKey("made beside", Role.ADMIN)]
    pool.terminate()


async def _database_of(server_url: str, name: str, version: str) -> str:
    await execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    url = named(server_url, name)
    await asyncio.to_thread(_to_version, url, version)
    return url


async def test_processes_that_start_together_migrate_once_and_all_get_through(server_url):
    url = await _database_of(server_url, "started_together", "0001")
    told = await asyncio.wait_for(asyncio.gather(*(upgrade(url) for _ in range(3))), 60)
    assert sorted(told) == [False, False, True]
    await execute(server_url, "DROP DATABASE started_together WITH (FORCE)")


async def test_an_index_whose_build_was_interrupted_is_built_again(server_url):
    url = await _database_of(server_url, "interrupted", BEFORE_CONTACTS_ARE_HELD)
    await execute(
        url,
        "ALTER TABLE attempts ADD COLUMN holds_contact boolean",
        "CREATE INDEX attempts_contact_sent ON attempts (contact_id, sent_at)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'attempts_contact_sent'::regclass",
    )
    assert await upgrade(url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    await connection.close()
    await execute(server_url, "DROP DATABASE interrupted WITH (FORCE)")


def _to_version(url: str, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = url
    command.upgrade(config, version)
