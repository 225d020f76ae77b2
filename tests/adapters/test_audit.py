"""The chain of the audit log: whatever is done to its rows is found, and writers at the same time keep it whole."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from ringback.adapters.postgres.audit import PostgresAudit
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.purge import PostgresPurge
from ringback.domain.audit import Actor, AuditAction, AuditEntry, AuditFilter, Via
from ringback.domain.operations import CALLS_KEPT
from ringback.flows.operator.retention import Retention
from tests.audit_log import TESTER

#: Every way to touch five rows, and the sentence that names the row.
TAMPERED = {
    "time": ("UPDATE audit SET at = at + interval '1 microsecond' WHERE sequence = 2", "row 2 was changed"),
    "actor": ("UPDATE audit SET actor = 'api:other' WHERE sequence = 2", "row 2 was changed"),
    "action": ("UPDATE audit SET action = 'dialing.resumed' WHERE sequence = 2", "row 2 was changed"),
    "object": ("UPDATE audit SET object = NULL WHERE sequence = 2", "row 2 was changed"),
    "detail": ("""UPDATE audit SET detail = '{"number": 22}' WHERE sequence = 2""", "row 2 was changed"),
    "spelling of the detail": ("UPDATE audit SET detail = '{ }' WHERE sequence = 2", "row 2 was changed"),
    "hash": (
        "UPDATE audit SET previous_hash = 'x' WHERE sequence = 3",
        "row 2 was changed, or the hash of it in row 3",
    ),
    "first row": ("UPDATE audit SET actor = 'api:other' WHERE sequence = 1", "row 1 was changed"),
    "hash in the first row": ("UPDATE audit SET previous_hash = 'x' WHERE sequence = 1", "row 1 was changed"),
    "last row": ("UPDATE audit SET actor = 'api:other' WHERE sequence = 5", "row 5 was changed"),
    "deleted": ("DELETE FROM audit WHERE sequence = 3", "row 3 was deleted"),
    "first deleted": ("DELETE FROM audit WHERE sequence = 1", "row 1 was deleted"),
    "last deleted": ("DELETE FROM audit WHERE sequence = 5", "row 5 was deleted"),
    "all deleted": ("DELETE FROM audit", "row 1 was deleted"),
    "deleted and renumbered": (
        "DELETE FROM audit WHERE sequence = 3; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 3",
        "row 2 was changed, or the hash of it in row 3",
    ),
    "inserted after the end": (
        "INSERT INTO audit SELECT 6, at, actor, action, object, detail, previous_hash FROM audit WHERE sequence = 5",
        "row 6 was inserted",
    ),
    "inserted between": (
        "UPDATE audit SET sequence = -sequence - 1 WHERE sequence > 2; "
        "UPDATE audit SET sequence = -sequence WHERE sequence < 0; "
        "INSERT INTO audit SELECT 3, at, actor, action, object, detail, previous_hash FROM audit WHERE sequence = 2",
        "row 2 was changed, or the hash of it in row 3",
    ),
    "inserted before the start": (
        "INSERT INTO audit SELECT 0, at, actor, action, object, detail, previous_hash FROM audit WHERE sequence = 1",
        "row 0 was inserted",
    ),
    "reordered": (
        "UPDATE audit SET sequence = 9 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3; "
        "UPDATE audit SET sequence = 3 WHERE sequence = 9",
        "row 1 was changed, or the hash of it in row 2",
    ),
    "the end of the chain": ("UPDATE audit_chain SET last_sequence = 4", "row 5 was inserted"),
    "the chain": ("DELETE FROM audit_chain", "the ends of the chain were deleted"),
}


@pytest.fixture
def audit(pool) -> PostgresAudit:
    return PostgresAudit(pool)


async def write(audit, clock, count=5, first=1) -> None:
    for number in range(first, first + count):
        call = f"call:{number}"
        await audit.record(AuditEntry(clock.now(), TESTER, AuditAction.CALL_CANCELLED, call, {"number": number}))


async def without_triggers(pool, statements: str) -> None:
    """Run statements as a superuser may, who is not stopped by the triggers."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL session_replication_role = replica; {statements}")


async def test_each_row_follows_the_row_before(audit, clock):
    check, fault = await audit.verify()
    assert (check.rows, fault) == (0, None)
    await write(audit, clock)
    check, fault = await audit.verify()
    assert (check.rows, check.sequence, fault) == (5, 5, None)
    (newest, *_, oldest), _ = await audit.page(AuditFilter(), 50)
    assert (newest["sequence"], newest["hash"], oldest["previous_hash"]) == (5, check.hash, "0" * 64)


@pytest.mark.parametrize(("statements", "sentence"), TAMPERED.values(), ids=TAMPERED)
async def test_a_row_that_breaks_the_chain_is_named(audit, clock, pool, statements, sentence):
    await write(audit, clock)
    await without_triggers(pool, statements)
    _, fault = await audit.verify()
    assert fault is not None
    assert fault.startswith(sentence)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'api:other'",
        "UPDATE audit SET sequence = sequence + 10",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE sequence = 2",
        "TRUNCATE audit",
    ],
)
async def test_the_database_refuses_to_change_a_row(audit, clock, pool, statement):
    await write(audit, clock, count=2)
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await pool.execute(statement)
    assert (await audit.verify())[1] is None


async def test_writers_at_the_same_time_make_one_chain(audit, clock, database_url):
    """Two processes write, and some of their transactions roll back."""
    other = await open_pool(database_url, max_size=5)
    logs = (audit, PostgresAudit(other))

    async def one(number: int) -> None:
        entry = AuditEntry(clock.now(), Actor(Via.API, f"key {number}"), AuditAction.CALL_CANCELLED, f"call:{number}")
        await logs[number % 2].record(entry)

    async def undone(number: int) -> None:
        entry = AuditEntry(clock.now(), TESTER, AuditAction.CALL_CANCELLED, detail={"number": object()})
        with pytest.raises(TypeError):
            await logs[number % 2].record(entry)

    await asyncio.gather(*(work(number) for number in range(60) for work in (one, undone)))
    other.terminate()
    check, fault = await audit.verify()
    assert (check.rows, check.sequence, fault) == (60, 60, None)
    rows, _ = await audit.page(AuditFilter(), 100)
    assert sorted(row["actor"] for row in rows) == sorted(f"api:key {number}" for number in range(60))


async def test_a_write_that_is_undone_leaves_no_row(audit, clock, store):
    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.audit.record(AuditEntry(clock.now(), TESTER, AuditAction.CALL_CANCELLED))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await audit.verify())[0].rows == 0


async def test_retention_deletes_the_oldest_and_the_chain_stays_whole(audit, clock, pool):
    retention = Retention(PostgresPurge(pool), clock)
    await write(audit, clock, count=600)
    clock.advance(timedelta(days=1).total_seconds())
    await write(audit, clock, count=2, first=601)
    clock.advance(CALLS_KEPT.total_seconds())
    assert await retention.purge_expired() == 500
    check, fault = await audit.verify()
    assert (check.rows, check.sequence, fault) == (102, 602, None)
    assert await retention.purge_expired() == 100
    assert await retention.purge_expired() == 0
    clock.advance(1)
    # Row 602 has the hash of row 601, and stays until another follows it.
    assert await retention.purge_expired() == 1
    assert await retention.purge_expired() == 0
    await write(audit, clock, count=1, first=603)
    assert await retention.purge_expired() == 1
    check, fault = await audit.verify()
    assert (check.rows, check.sequence, fault) == (1, 603, None)


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        ("DELETE FROM audit WHERE sequence = 4", "row 4 was deleted"),
        ("UPDATE audit SET actor = 'api:other', previous_hash = 'x' WHERE sequence = 4", "row 4 was changed"),
        (
            "INSERT INTO audit SELECT 3, at, actor, action, object, detail, previous_hash FROM audit LIMIT 1",
            "row 3 was inserted: the rows up to 3 were purged",
        ),
        ("UPDATE audit_chain SET purged_sequence = 4", "row 4 was inserted"),
    ],
)
async def test_a_break_is_found_after_retention_too(audit, clock, pool, statements, sentence):
    await write(audit, clock, count=3)
    clock.advance(CALLS_KEPT.total_seconds() + 1)
    await write(audit, clock, count=3, first=4)
    await Retention(PostgresPurge(pool), clock).purge_expired()
    assert (await audit.verify())[1] is None
    await without_triggers(pool, statements)
    _, fault = await audit.verify()
    assert fault is not None
    assert fault.startswith(sentence)


async def test_retention_and_writers_do_not_disturb_each_other(audit, clock, pool):
    retention = Retention(PostgresPurge(pool), clock)
    await write(audit, clock, count=30)
    clock.advance(CALLS_KEPT.total_seconds() + 1)
    await asyncio.gather(
        *(retention.purge.purge_expired("audit", clock.now() - CALLS_KEPT, 4) for _ in range(10)),
        *(write(audit, clock, count=1, first=31 + number) for number in range(10)),
    )
    check, fault = await audit.verify()
    assert (check.sequence, fault) == (40, None)


async def test_pages_go_on_where_the_one_before_ended(audit, clock):
    await write(audit, clock, count=7)
    seen, cursor = [], None
    while True:
        rows, cursor = await audit.page(AuditFilter(before=int(cursor) if cursor else None), 3)
        seen += [row["sequence"] for row in rows]
        if cursor is None:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_a_list_has_the_rows_of_its_filter(audit, clock):
    await write(audit, clock, count=2)
    clock.advance(60)
    await audit.record(AuditEntry(clock.now(), Actor(Via.COMMAND_LINE, "ada"), AuditAction.KEY_REVOKED, "key:crm"))

    async def sequences(**wanted):
        rows, _ = await audit.page(AuditFilter(**wanted), 50)
        return [row["sequence"] for row in rows]

    assert await sequences(actor="cli:ada") == [3]
    assert await sequences(action=AuditAction.CALL_CANCELLED) == [2, 1]
    assert await sequences(object="call:1") == [1]
    assert await sequences(since=clock.now()) == [3]
    assert await sequences(until=clock.now()) == [2, 1]
    assert await sequences(actor="api:tests", object="key:crm") == []
