"""The migration of the statistics can be repeated, and marks what a session of another version changes."""

import asyncpg

from ringback.adapters.postgres.schema import NEWEST, upgrade

_MARKED = "SELECT recount FROM calls"


async def test_a_second_try_after_an_interrupted_index_build_ends_well(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        # The changes before the indexes are committed; the version is not.
        await connection.execute("UPDATE alembic_version SET version_num = '0009'")
        await connection.execute("DROP INDEX attempts_sent")
        await connection.execute("DROP TABLE console_sessions, audit, audit_chain")  # later migrations make them
        await connection.execute("DROP FUNCTION refuse_change_of_audit")
        assert await upgrade(database_url)
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == NEWEST
        assert await connection.fetchval("SELECT to_regclass('attempts_sent') IS NOT NULL")
    finally:
        await connection.close()


async def test_only_a_session_that_does_not_count_leaves_a_mark(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            """INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry,
                   accepted_at, expires_at, expiry_is_explicit, status)
               VALUES ('c', 'crm-1', '+14155550100', 'a', '+14155550199', '{}', '{}', '{}', now(), now(), false, 'x')"""
        )
        await connection.execute("SET session_replication_role = origin; SET ringback.counts = 'on'")
        await connection.execute("UPDATE calls SET final = true")
        assert await connection.fetchval(_MARKED) is False
        await connection.execute("RESET ringback.counts; UPDATE calls SET closing_event_id = 'e'")
        assert await connection.fetchval(_MARKED) is True
    finally:
        await connection.close()
