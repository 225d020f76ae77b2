"""The migration that gives stored numbers their canonical form."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from alembic import command
from alembic.config import Config

from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.schema import MIGRATIONS, upgrade
from ringback.adapters.postgres.store import PostgresStore
from tests.postgresql import named

#: As the previous version stored them, unchanged.
OF_VERSION_0002 = """
INSERT INTO suppressions (suppression_id, phone, contact_id, reason, source, created_at) VALUES
    ('doubled', '+114155550160', NULL, 'asked', 'api', now()), ('trunk', '+4407400123456', NULL, 'asked', 'api', now()),
    ('plain', '+14155550161', NULL, 'asked', 'api', now()), ('contact', NULL, 'crm-9', 'asked', 'api', now()),
    ('italian', '+390612345678', NULL, 'asked', 'api', now()), ('odd', '+1415555', NULL, 'asked', 'api', now());
INSERT INTO contacts (contact_id, phone, updated_at) VALUES
    ('crm-1', '+114155550160', now()), ('crm-2', '+14155550160', now()), ('crm-3', 'erased', now());
INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                   expires_at, expiry_is_explicit, status)
    SELECT 'call-' || contact_id, contact_id, phone, 'agent_1', '+14155550199', '{}', '{}', '{}', now(), now(), false,
           'dialing' FROM contacts;
INSERT INTO tasks (task_id, call_id, kind, due_at, status, redispatches, created_at)
    SELECT 'task-' || contact_id, call_id, 'first', now(), 'consumed', 0, now() FROM calls;
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, resent, waits,
                      lookups, clean_lookups, polls, holds_person, holds_slot, voicemail_action, business,
                      transcript_withheld, agent_spoke, initiated_event, started_event, revision)
    SELECT state || '-' || contact_id, call_id, contact_id, phone, 1, 'task-' || contact_id,
           json_build_object('to_number', phone), state, 1, false, 0, 0, 0, 0, state = 'ongoing', false, 'none', '{}',
           false, false, false, false, 0
    FROM calls, unnest(ARRAY['ended', 'ongoing']) AS state WHERE phone <> 'erased';
INSERT INTO inbound_calls (inbound_id, phone, to_number, contact_id, rang_at, hold_until)
    VALUES ('inbound', '+610412345678', '+14155550199', 'crm-1', now(), now());
"""


@asynccontextmanager
async def database_of(server_url: str, version: str) -> AsyncIterator[str]:
    name = f"of_version_{version}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    url = named(server_url, name)
    try:
        await asyncio.to_thread(_to_version, url, version)
        yield url
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def test_stored_numbers_get_their_canonical_form(server_url):
    async with database_of(server_url, "0002") as url:
        old = await asyncpg.connect(url)
        await old.execute(OF_VERSION_0002)
        await upgrade(url)
        stored = {row[0]: row[1] for row in await old.fetch("SELECT suppression_id, phone FROM suppressions")}
        assert stored == {
            "doubled": "+14155550160",
            "trunk": "+447400123456",
            "plain": "+14155550161",
            "contact": None,
            "italian": "+390612345678",
            "odd": "+1415555",
        }
        for table in ("contacts", "calls"):
            phones = [row["phone"] for row in await old.fetch(f"SELECT phone FROM {table} ORDER BY contact_id")]
            assert phones == ["+14155550160", "+14155550160", "erased"], table
        assert await old.fetchval("SELECT phone FROM inbound_calls") == "+61412345678"
        await old.close()


async def test_of_two_live_attempts_to_one_person_one_keeps_its_spelling_until_it_has_ended(server_url):
    async with database_of(server_url, "0002") as url:
        old = await asyncpg.connect(url)
        await old.execute(OF_VERSION_0002)
        await upgrade(url)
        rows = await old.fetch("SELECT attempt_id, phone, request ->> 'to_number' AS sent FROM attempts ORDER BY 1")
        assert [tuple(row) for row in rows] == [
            ("ended-crm-1", "+14155550160", "+114155550160"),
            ("ended-crm-2", "+14155550160", "+14155550160"),
            ("ongoing-crm-1", "+114155550160", "+114155550160"),
            ("ongoing-crm-2", "+14155550160", "+14155550160"),
        ]
        await old.close()


async def test_a_suppression_of_another_spelling_covers_the_person_after_the_upgrade(server_url):
    async with database_of(server_url, "0002") as url:
        old = await asyncpg.connect(url)
        await old.execute(OF_VERSION_0002)
        await old.close()
        await upgrade(url)
        pool = await open_pool(url, max_size=1)
        async with PostgresStore(pool, clock_is_real=False).transaction() as tx:
            for phone in ("+14155550160", "+447400123456"):
                assert await tx.suppressions.covers(phone, "crm-of-tomorrow"), phone
        pool.terminate()


def _to_version(url: str, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = url
    command.upgrade(config, version)
