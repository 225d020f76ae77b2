"""The tables of erased people are added while processes of the previous version go on working."""

import asyncio

import asyncpg
import pytest

from ringback.adapters.postgres.person_hash import marks_of
from ringback.adapters.postgres.schema import upgrade
from tests.postgresql import named

from .test_schema import _to_version

BEFORE = "0002"
#: Rows of the previous version: of an erased person, and of a person whose suppression is not recorded yet.
ROWS = """
INSERT INTO installation (instance) VALUES ('test-instance');
INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('erased-1', 'erased', now());
INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                   expires_at, expiry_is_explicit, status, idempotency_key)
VALUES ('c-1', 'erased-1', 'erased', 'a', '+14155550199', '{}', '{}', '{}', now(), now(), false, 'failed', 'k');
INSERT INTO suppressions (suppression_id, phone_hash, reason, source, created_at)
VALUES ('s-1', person_hash('+14155550100'), 'erased', 'api', now());
"""
OLD_OUTBOX_INSERT = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
VALUES ('abt_event', 'm-1', 'call:c-1', 'c-1', '{}', now(), now())
"""
OLD_QUESTION = "SELECT suppression_id FROM suppressions WHERE phone_hash = (SELECT person_hash('+14155550100'))"


@pytest.fixture
async def upgraded(server_url):
    name = "before_erased"
    server = await asyncpg.connect(server_url)
    await server.execute(f"CREATE DATABASE {name}")
    url = named(server_url, name)
    await asyncio.to_thread(_to_version, url, BEFORE)
    old = await asyncpg.connect(url)
    await old.execute(ROWS)
    # Prepared by a process of the previous version, and used after the upgrade.
    question = await old.prepare(OLD_QUESTION)
    assert await question.fetchval() == "s-1"
    await upgrade(url)
    yield old, question
    await old.close()
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def test_the_previous_version_still_reads_and_writes(upgraded):
    old, question = upgraded
    assert await question.fetchval() == "s-1"
    await old.execute(OLD_OUTBOX_INSERT)
    assert await old.fetchval("SELECT erased FROM outbox") is False


async def test_people_who_were_erased_earlier_have_tombstones(upgraded):
    old, _ = upgraded
    assert [row["mark"] for row in await old.fetch("SELECT mark FROM erased")] == marks_of(["c-1"])


async def test_the_previous_version_is_stopped_once_a_key_is_in_use(upgraded):
    old, question = upgraded
    await old.execute("INSERT INTO erasure_keys VALUES (1, 'a-key', now())")
    with pytest.raises(asyncpg.RaiseError):
        await question.fetchval()
