"""Expired rows are deleted, exactly after their time, in small batches, and no others."""

from datetime import timedelta

import pytest

from ringback.adapters.postgres.purge import STATEMENTS, PostgresPurge
from ringback.domain.operations import CALLS_KEPT, EVENTS_KEPT, MESSAGES_KEPT, RULES, TRACES_KEPT
from ringback.flows.operator.retention import Retention

#: Tables that do not grow with the calls, or whose rows leave by themselves.
KEPT = {"installation", "api_keys", "suppressions", "alembic_version", "erasure_keys", "audit_chain"}
KEPT |= {f"rollup_{name}" for name in ("deltas", "hour", "day", "number", "local", "hist", "reason", "person")}


@pytest.fixture
def retention(pool, clock) -> Retention:
    return Retention(PostgresPurge(pool), clock)


async def count(pool, table):
    return await pool.fetchval(f"SELECT count(*) FROM {table}")


async def test_every_table_has_a_rule_and_every_rule_its_statement(pool):
    assert {rule.what for rule in RULES} == set(STATEMENTS)
    tables = {row["tablename"] for row in await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")}
    ruled = {table for table in tables if any(f"DELETE FROM {table} " in text for text in STATEMENTS.values())}
    assert ruled == tables - KEPT


async def finished(stack, pool, number=0):
    call_id = await stack.accept(f"crm-{number}", f"+1415555{number:04d}")
    await stack.deliver_first(call_id)
    await pool.execute("UPDATE attempts SET holds_person = false, holds_slot = false, next_check_at = NULL")
    await pool.execute("UPDATE calls SET final = true, counted = '{}'")
    await pool.execute("UPDATE outbox SET delivered_at = created_at")
    return call_id


async def test_rows_go_when_their_time_is_over_and_not_before(stack, pool, clock, retention):
    await finished(stack, pool)
    await pool.execute(
        """INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, fate)
           VALUES ('call_1', 'call_ended', '\\x00', $1, 'applied')""",
        clock.now(),
    )
    assert await retention.purge_expired() == 0
    began = clock.now()
    expected = [
        (MESSAGES_KEPT, "outbox WHERE kind = 'call_message'"),
        (EVENTS_KEPT, "outbox"),
        (TRACES_KEPT, "gate_decisions"),
        (TRACES_KEPT, "provider_events"),
        (CALLS_KEPT + timedelta(days=7), "calls"),
        (CALLS_KEPT + timedelta(days=7), "attempts"),
        (CALLS_KEPT + timedelta(days=7), "tasks"),
        (CALLS_KEPT + timedelta(days=7), "contacts"),
    ]
    for kept in sorted({kept for kept, _ in expected}):
        clock.advance((began + kept - clock.now()).total_seconds())
        await retention.purge_expired()
        for until, table in expected:
            assert (await count(pool, table) > 0) == (until >= kept), (kept, table)
        clock.advance(1)
        await retention.purge_expired()
        for until, table in expected:
            assert (await count(pool, table) > 0) == (until > kept), (kept, table)


async def test_what_is_not_over_stays_however_old(stack, pool, clock, retention):
    """An open call, an event Engage has not got, and a stop."""
    await stack.accept("crm-1", "+14155550101")
    call_id = await finished(stack, pool)
    await pool.execute("UPDATE calls SET final = false WHERE call_id <> $1", call_id)
    await pool.execute(
        """INSERT INTO suppressions (suppression_id, phone, reason, source, created_at)
           VALUES ('s', '+14155550107', 'x', 'api', now())"""
    )
    await pool.execute("UPDATE outbox SET delivered_at = NULL WHERE kind = 'abt_event'")
    clock.advance(3 * 365 * 86400)
    await retention.purge_expired()
    assert await count(pool, "calls") == 2
    assert await count(pool, "outbox WHERE kind = 'abt_event'") >= 1
    assert await count(pool, "suppressions") == 1


async def test_a_full_batch_says_that_there_is_more(stack, pool, clock, retention, monkeypatch):
    monkeypatch.setattr("ringback.flows.operator.retention.BATCH", 3)
    for number in range(5):
        await finished(stack, pool, number)
    clock.advance((TRACES_KEPT + timedelta(days=1)).total_seconds())
    assert await retention.purge_expired() == 3
    while await retention.purge_expired() == 3:
        pass
    assert await count(pool, "gate_decisions") == 0
