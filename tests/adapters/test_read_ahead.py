"""Rows that a unit read ahead with its call are as it would read them now, also after its own changes."""

from datetime import UTC, datetime

import pytest

from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.call import Task, TaskKind, TaskStatus
from ringback.domain.contact import Contact
from ringback.storage import AcceptedCall, ActionResult, Ahead, Part
from tests.accepted_calls import accepted_call

NOW = datetime(2026, 12, 1, 17, tzinfo=UTC)
AHEAD = Ahead(("api", "k"), None, Part.PLAN)
PHONE_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


def accepted(number: int, phone: str) -> AcceptedCall:
    contact = Contact("crm-42", phone, "America/New_York", "crm", {})
    return accepted_call(number, contact, NOW)


@pytest.fixture
async def called(store: PostgresStore) -> PostgresStore:
    await store.insert_accepted([accepted(1, "+14155550100")], NOW)
    return store


async def test_each_repository_reads_its_own_row(called):
    async with called.transaction() as tx:
        await tx.action_results.store(ActionResult("api", "k", "note", "hash", None, "crm-42", NOW, {"ok": True}))
    async with called.transaction() as tx:
        call = await tx.lock_call("call-1", ahead=AHEAD)
        task, contact = await tx.tasks.open_for("call-1"), await tx.contacts.get("crm-42")
        assert (call.call_id, task.task_id, contact.time_zone) == ("call-1", "task-1", "America/New_York")
        assert await tx.attempts.latest_for("call-1") is None
        assert await tx.action_results.find("api", "k") == ("hash", {"ok": True})
        assert await tx.action_results.find("api", "other") is None
        assert await tx.contacts.get("crm-43") is None


async def test_a_call_that_does_not_exist_is_none(called):
    async with called.transaction() as tx:
        assert await tx.lock_call("call-2", every_phone=True, ahead=AHEAD) is None


async def test_a_read_after_a_write_sees_the_write(called):
    async with called.transaction() as tx:
        await tx.lock_call("call-1", ahead=AHEAD)
        await tx.contacts.set_time_zone("crm-42", "America/Chicago", "crm", NOW)
        assert (await tx.contacts.get("crm-42")).time_zone == "America/Chicago"


async def test_a_read_after_a_change_of_a_row_sees_the_change(called):
    async with called.transaction() as tx:
        await tx.lock_call("call-1", ahead=AHEAD)
        task = await tx.tasks.open_for("call-1")
        task.status = TaskStatus.SUPERSEDED
        await tx.save(task)
        assert await tx.tasks.open_for("call-1") is None


async def test_a_read_after_a_statement_sees_what_it_wrote(called):
    async with called.transaction() as tx:
        await tx.lock_call("call-1", ahead=AHEAD)
        assert not await tx.suppressions.covers("+14155550100", "crm-42")
        await tx.outbox.enqueue("crm_note", "note-1", {}, None, NOW)
        await tx.action_results.free_key("api", "k", NOW, ())
        task = await tx.tasks.open_for("call-1")
        assert task.status is TaskStatus.PENDING


async def test_a_row_replaces_another_in_one_statement(called, pool):
    """The unique index allows one open task, so that the old one must be closed first."""
    async with called.transaction() as tx:
        await tx.lock_call("call-1", ahead=AHEAD)
        task = await tx.tasks.open_for("call-1")
        task.status = TaskStatus.SUPERSEDED
        await tx.save(task)
        await tx.insert(Task("task-2", "call-1", TaskKind.CALLBACK, NOW, created_at=NOW))
    rows = await pool.fetch("SELECT task_id, status FROM tasks ORDER BY task_id")
    assert [tuple(row) for row in rows] == [("task-1", "superseded"), ("task-2", "pending")]


@pytest.mark.parametrize(
    ("every_phone", "caller", "locks"),
    [(False, None, 2), (True, None, 3), (True, "+14155550102", 4), (True, "+14155550101", 3)],
)
async def test_every_phone_of_the_contact_is_locked_when_asked(called, pool, every_phone, caller, locks):
    await called.insert_accepted([accepted(2, "+14155550101")], NOW)
    async with called.transaction() as tx:
        await tx.lock_call("call-1", every_phone=every_phone, caller=caller, ahead=AHEAD)
        assert await pool.fetchval(PHONE_LOCKS) == locks
