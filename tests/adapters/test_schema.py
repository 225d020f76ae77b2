"""A database of any earlier version is upgraded to the newest one while other sessions go on."""

import asyncio
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from ringback.adapters.postgres import schema
from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.installation import PostgresBorder
from ringback.adapters.postgres.pool import connection_of, open_pool
from ringback.adapters.postgres.schema import MIGRATIONS, NEWEST, LockWaits, SchemaIsLocked, upgrade
from ringback.domain.access import KnownKey, Role
from ringback.domain.errors import StartRefused, StoreUnavailable
from ringback.web.auth import hash_key
from tests.postgresql import execute, named

#: An attempt holds its phone alone.
BEFORE_CONTACTS_ARE_HELD = "0002"
LATER = """
from alembic import op

revision = "9998"
down_revision = "{newest}"


def upgrade() -> None:
    op.execute("ALTER TABLE contacts ADD COLUMN added_later text")
"""
LAST = """
from alembic import op

revision = "9999"
down_revision = "9998"


def upgrade() -> None:
    op.execute("ALTER TABLE calls ADD COLUMN added_later text")
"""


@pytest.fixture
async def url(server_url: str) -> AsyncIterator[str]:
    name = f"upgraded_{uuid.uuid4().hex[:8]}"
    await execute(server_url, f"CREATE DATABASE {name}")
    yield named(server_url, name)
    await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def later_version(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is of today's version, the program of one with two migrations more."""
    await upgrade(url)
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(MIGRATIONS.parent / "message_queue.sql", tmp_path)
    (folder / "versions" / "9998_later.py").write_text(LATER.format(newest=NEWEST))
    (folder / "versions" / "9999_last.py").write_text(LAST)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    monkeypatch.setattr(schema, "NEWEST", "9999")


async def version_of(url: str) -> str:
    connection = await asyncpg.connect(url)
    version = await connection.fetchval("SELECT version_num FROM alembic_version")
    await connection.close()
    return str(version)


async def test_a_database_of_the_first_version_becomes_one_of_the_newest(url: str) -> None:
    await asyncio.to_thread(_to_version, url, "0001")
    assert await upgrade(url)
    assert not await upgrade(url)
    assert await version_of(url) == NEWEST
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM outbox WHERE refusals > 0") == 0
    await connection.close()


async def test_a_database_that_a_newer_version_upgraded_is_left_as_it_is(url: str) -> None:
    await upgrade(url)
    await execute(url, "UPDATE alembic_version SET version_num = '9999'")
    assert not await upgrade(url)
    assert await version_of(url) == "9999"


async def test_the_upgrade_waits_for_a_dump_and_the_others_go_on(url: str, later_version: None) -> None:
    dump = await asyncpg.connect(url)
    reading = dump.transaction()
    await reading.start()
    await dump.execute("LOCK TABLE calls IN ACCESS SHARE MODE")
    pool = await open_pool(url, max_size=2)
    upgrading = asyncio.create_task(upgrade(url, waits=LockWaits(lock_s=0.5, first_pause_s=0.3, longest_pause_s=0.6)))
    slowest_s, writes, refused, until = 0.0, 0, 0, time.monotonic() + 5
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            async with connection_of(pool) as connection:
                await connection.execute("UPDATE calls SET status = status WHERE call_id = 'none'")
            writes += 1
        except StoreUnavailable:
            refused += 1
        slowest_s = max(slowest_s, time.monotonic() - began)
        await asyncio.sleep(0.01)
    pool.terminate()
    assert not upgrading.done()
    # The first of the two is made and stays: each is a transaction of its own.
    assert await version_of(url) == "9998"
    assert slowest_s < 2, "a wait for the lock is 0.5 s; the rest is a busy machine's"
    assert writes > 20
    assert refused == 0
    await reading.rollback()
    await dump.close()
    assert await asyncio.wait_for(upgrading, 20)
    assert await version_of(url) == "9999"


async def test_a_lock_that_does_not_end_is_named(url: str, later_version: None) -> None:
    dump = await asyncpg.connect(url, server_settings={"application_name": "pg_dump"})
    reading = dump.transaction()
    await reading.start()
    await dump.execute("LOCK TABLE calls IN ACCESS SHARE MODE")
    pid = dump.get_server_pid()
    with pytest.raises(SchemaIsLocked, match=rf"pid {pid} \(pg_dump, for \d+ s\)"):
        await upgrade(url, waits=LockWaits(lock_s=0.5, first_pause_s=0.3, whole_s=2))
    await dump.close()


async def test_two_upgrades_at_once_wait_for_each_other(url: str) -> None:
    assert sorted(await asyncio.gather(upgrade(url), upgrade(url))) == [False, True]


async def test_an_upgrade_that_does_not_end_is_waited_for_no_longer_than_allowed(url: str) -> None:
    other = await asyncpg.connect(url)
    await other.execute("SELECT pg_advisory_lock(hashtextextended('ringback-migrations', 0))")
    with pytest.raises(SchemaIsLocked, match="another upgrade"):
        await upgrade(url, waits=LockWaits(whole_s=0.3))
    await other.close()


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
    migrated = await asyncio.wait_for(asyncio.gather(*(upgrade(url) for _ in range(3))), 60)
    assert sorted(migrated) == [False, False, True]
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
