"""The databases of the lanes: one server, one migrated template, one copy per lane, emptied for each trial."""

import asyncio

import asyncpg

from ringback.adapters.postgres.schema import upgrade
from tests.postgresql import EMULATED, copy_database, execute, named

INSTANCE = "proof-instance"

_EMPTY = """
SET LOCAL session_replication_role = replica;
DELETE FROM queue_messages; DELETE FROM outbox; DELETE FROM gate_decisions; DELETE FROM provider_events;
DELETE FROM action_results; DELETE FROM dispositions; DELETE FROM notes; DELETE FROM field_writes;
DELETE FROM inbound_calls; DELETE FROM suppressions; DELETE FROM attempts; DELETE FROM tasks; DELETE FROM calls;
DELETE FROM contacts; DELETE FROM api_keys;
UPDATE installation SET paused_at = NULL, pause_reason = NULL, breaker_until = NULL, breaker_reason = NULL,
    breaker_trips = 0;
"""
_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'coordinator'
"""


async def make_template(url: str, name: str) -> None:
    await execute(url, f"CREATE DATABASE {name}")
    await upgrade(named(url, name), instance=INSTANCE)
    await execute(named(url, name), EMULATED)


async def copy_template(url: str, template: str, name: str) -> str:
    """The URL of the copy."""
    copy = await copy_database(url, template, name)
    await execute(copy, f"UPDATE installation SET instance = '{INSTANCE}'")
    return copy


async def drop(url: str, name: str) -> None:
    await execute(url, f"DROP DATABASE {name} WITH (FORCE)")


async def watching(url: str) -> "asyncpg.Pool[asyncpg.Record]":
    """Connections of the coordinator's own, which `empty` leaves alone."""
    return await asyncpg.create_pool(url, min_size=1, max_size=4, server_settings={"application_name": "coordinator"})


async def empty(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """As it was migrated: a tenth of what TRUNCATE or a new copy costs. What a killed process had still under way is
    waited for, because its commit may come after its death."""
    async with pool.acquire() as connection:
        while await connection.fetchval(_END_OTHERS):
            await asyncio.sleep(0.005)
        async with connection.transaction():
            await connection.execute(_EMPTY)
