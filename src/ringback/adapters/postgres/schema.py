"""Bring a database to the newest schema; the version is read first, because Alembic costs seconds to import."""

import asyncio
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from ringback.adapters.postgres.pool import CONDEMNS
from ringback.domain.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0008"
#: Two processes that start together must not both migrate. It is tried again and again, because a statement that waits
#: for it would hold a snapshot, for which CREATE INDEX CONCURRENTLY waits in turn.
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
class Patience:
    """How long a migration waits for other sessions.

    All that uses a table queues up behind a migration that waits for its lock, so each wait is short; between two waits
    the others go on. Seconds.
    """

    lock_s: float = 1.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 15.0
    whole_s: float = 900.0


class SchemaIsLocked(Exception):
    """Another session kept a lock on a table, or was upgrading, for as long as the upgrade may wait."""


async def upgrade(database_url: str, *, instance: str | None = None, patience: Patience | None = None) -> bool:
    """True if something was migrated. Makes the installation row with its mark, `instance` or a new one.

    A database that a newer version of the product has upgraded is left as it is: its schema serves this version too.
    Raises StoreUnavailable, and SchemaIsLocked; the migrations that were made by then stay, and the next upgrade goes
    on from there.
    """
    patience = patience or Patience()
    give_up_at = asyncio.get_running_loop().time() + patience.whole_s
    try:
        connection = await asyncpg.connect(database_url, target_session_attrs=SessionAttribute.read_write)
    except CONDEMNS as error:
        raise StoreUnavailable(type(error).__name__) from error
    try:
        await _lock(connection, give_up_at)
        version = await _version(connection)
        behind = version is None or version < NEWEST
        if behind:
            await _migrate(connection, database_url, patience, give_up_at)
        await connection.execute(
            "INSERT INTO installation (instance) VALUES ($1) ON CONFLICT DO NOTHING",
            instance or f"ringback-{uuid.uuid4().hex[:12]}",
        )
        if instance is not None:
            await connection.execute("UPDATE installation SET instance = $1 WHERE instance <> $1", instance)
        return behind
    finally:
        await connection.close()


async def _lock(connection: Any, give_up_at: float) -> None:
    while not await connection.fetchval(_LOCK):
        if asyncio.get_running_loop().time() > give_up_at:
            raise SchemaIsLocked("another upgrade of this database is in progress and does not end")
        await asyncio.sleep(0.1)


async def _version(connection: Any) -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return version


async def _migrate(connection: Any, database_url: str, patience: Patience, give_up_at: float) -> None:
    pause_s = patience.first_pause_s
    while True:
        try:
            return await asyncio.to_thread(_run_alembic, database_url, patience.lock_s)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            pass
        if asyncio.get_running_loop().time() + pause_s > give_up_at:
            raise SchemaIsLocked(await _who_locks(connection, patience))
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
        pause_s = min(2 * pause_s, patience.longest_pause_s)


async def _who_locks(connection: Any, patience: Patience) -> str:
    holders = [
        f"pid {row['pid']} ({row['application_name'] or 'without a name'}, for {row['for_s']} s)"
        for row in await connection.fetch(_HOLDERS)
    ]
    found = ", ".join(holders) or "no other session any more"
    return (
        f"the upgrade got no lock on a table within {patience.whole_s:g} s; locks are held by {found}. "
        "Wait until that ends, or end it, and upgrade again"
    )


def _run_alembic(database_url: str, lock_s: float) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # Handed over as attributes: the option syntax would read a percent sign in a password as an interpolation.
    config.attributes["database_url"] = database_url
    config.attributes["lock_s"] = lock_s
    command.upgrade(config, "head")
