"""Bring a database to the newest schema; the version is read first, because Alembic costs seconds to import."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import asyncpg

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0003"
#: Two processes that start together must not both migrate.
_LOCK = "SELECT pg_advisory_lock(hashtextextended('ringback-migrations', 0))"


async def upgrade(database_url: str, *, instance: str | None = None) -> bool:
    """True if something was migrated. Makes the installation row with its mark, `instance` or a new one."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_LOCK)
        behind = await _version(connection) != NEWEST
        if behind:
            await asyncio.to_thread(_run_alembic, database_url)
        await connection.execute(
            "INSERT INTO installation (instance) VALUES ($1) ON CONFLICT DO NOTHING",
            instance or f"ringback-{uuid.uuid4().hex[:12]}",
        )
        if instance is not None:
            await connection.execute("UPDATE installation SET instance = $1 WHERE instance <> $1", instance)
        return behind
    finally:
        await connection.close()


async def _version(connection: Any) -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return version


def _run_alembic(database_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # Handed over as an attribute: the option syntax would read a percent sign in a password as an interpolation.
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")
