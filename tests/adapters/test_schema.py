"""A database of any earlier version is brought to the newest one."""

import asyncio

import asyncpg
from alembic import command
from alembic.config import Config

from ringback.adapters.postgres.schema import MIGRATIONS, NEWEST, upgrade
from tests.postgresql import named


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


def _to_version(url: str, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = url
    command.upgrade(config, version)
