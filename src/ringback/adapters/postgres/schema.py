"""Bring a database to the newest schema. The version is read first, because Alembic takes seconds to import."""

import asyncio
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from ringback.adapters.postgres.pool import Pool, connection_of, opening
from ringback.domain.errors import StartRefused

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0017"
#: Two processes that start together must not both migrate. The lock is polled: a statement that waits for it would hold
#: a snapshot, and CREATE INDEX CONCURRENTLY waits for all snapshots.
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('ringback-migrations', 0))"
#: The sessions that have held a lock on one of our tables for a second or longer.
_HOLDERS = """
SELECT DISTINCT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start)::int AS for_s
FROM pg_locks JOIN pg_stat_activity USING (pid) JOIN pg_class ON pg_class.oid = relation
WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND pid <> pg_backend_pid()
  AND granted AND xact_start < clock_timestamp() - interval '1 second'
ORDER BY for_s DESC LIMIT 5
"""


@dataclass(frozen=True, slots=True)
class LockWaits:
    """The limits, in seconds, of a migration's waits for other sessions.

    Every statement on a table queues behind a migration that waits for the table's lock. So each wait is short, and
    other sessions continue between two waits.
    """

    lock_s: float = 1.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 15.0
    whole_s: float = 900.0


class SchemaIsLocked(StartRefused):
    """Another session kept a lock on a table, or was upgrading, for as long as the upgrade may wait."""


async def upgrade(database_url: str, *, instance: str | None = None, waits: LockWaits | None = None) -> bool:
    """Upgrade the schema and make the installation row, with the mark `instance` or a new one. True: it migrated.

    A database that a newer version has upgraded is left as it is, because its schema serves this version too. Raises
    StoreUnavailable, and SchemaIsLocked. Completed migrations stay, and the next upgrade continues after them.
    """
    waits = waits or LockWaits()
    give_up_at = asyncio.get_running_loop().time() + waits.whole_s
    async with opening():
        connection = await asyncpg.connect(database_url, target_session_attrs=SessionAttribute.read_write)
    try:
        while not await connection.fetchval(_LOCK):
            if asyncio.get_running_loop().time() > give_up_at:
                raise SchemaIsLocked("another upgrade of this database is in progress and does not end")
            await asyncio.sleep(0.1)
        is_made = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        version = await connection.fetchval("SELECT version_num FROM alembic_version") if is_made else None
        is_old = version is None or version < NEWEST
        if is_old:
            await _migrate(connection, database_url, waits, give_up_at)
        await connection.execute(
            "INSERT INTO installation (instance) VALUES ($1) ON CONFLICT DO NOTHING",
            instance or f"ringback-{uuid.uuid4().hex[:12]}",
        )
        if instance is not None:
            await connection.execute("UPDATE installation SET instance = $1 WHERE instance <> $1", instance)
        return is_old
    finally:
        await connection.close()


async def require_schema(pool: Pool) -> None:
    """Raise StartRefused if the database is not upgraded. A newer schema serves this version too."""
    async with connection_of(pool) as connection:
        is_made = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        version = await connection.fetchval("SELECT version_num FROM alembic_version") if is_made else None
    if version is None or version < NEWEST:
        found = "has no tables yet" if version is None else f"is at {version}, and this program needs {NEWEST}"
        raise StartRefused(f"the database is not upgraded, it {found}: run ringback db upgrade")


async def _migrate(connection: Any, database_url: str, waits: LockWaits, give_up_at: float) -> None:
    pause_s = waits.first_pause_s
    while True:
        try:
            return await asyncio.to_thread(_run_alembic, database_url, waits.lock_s)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            pass
        if asyncio.get_running_loop().time() + pause_s > give_up_at:
            holders = [
                f"pid {row['pid']} ({row['application_name'] or 'without a name'}, for {row['for_s']} s)"
                for row in await connection.fetch(_HOLDERS)
            ]
            raise SchemaIsLocked(
                f"the upgrade got no lock on a table within {waits.whole_s:g} s; locks are held by "
                f"{', '.join(holders) or 'no other session any more'}. "
                "Wait until that ends, or end it, and upgrade again"
            )
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
        pause_s = min(2 * pause_s, waits.longest_pause_s)


def _run_alembic(database_url: str, lock_s: float) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # Passed as attributes: the option syntax would read a percent sign in a password as an interpolation.
    config.attributes["database_url"] = database_url
    config.attributes["lock_s"] = lock_s
    command.upgrade(config, "head")
