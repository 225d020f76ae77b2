"""Erasing beside what others write at the same time: waited for or tried again, and no error names the person."""

import asyncio
from datetime import UTC

import pytest

from ringback.adapters.postgres import acceptance
from ringback.domain.contact import StillInProgress
from ringback.domain.errors import Retryable
from tests.audit_log import entry_at

from .conftest import CANARIES, PHONE, ErasureStack
from .test_late_evidence import LATE


async def draft(stack: ErasureStack):
    """An acceptance of another call to the person, decided and not written yet."""
    drafted = []

    async def keep(rows, now):
        drafted.extend(rows)
        return set()

    written, stack.store.insert_accepted = stack.store.insert_accepted, keep
    try:
        await stack.post_call(key=None)
    except KeyError:
        pass  # it was not written
    finally:
        stack.store.insert_accepted = written
    return drafted[0]


async def test_an_acceptance_that_is_not_committed_yet_is_waited_for(stack: ErasureStack):
    await stack.whole_call(await stack.place())
    row = await draft(stack)
    await stack.warm_up()
    async with stack.pool.acquire() as connection, connection.transaction():
        await connection.fetch(acceptance._INSERT, [acceptance._row(row, UTC)], stack.clock.now())
        erasing = asyncio.ensure_future(stack.erase())
        await asyncio.sleep(0.3)
        assert not erasing.done()
    await erasing
    accepted = await stack.call(row.call.call_id)
    assert (accepted["status"], accepted["phone"]) == ("cancelled", "erased")
    await stack.deliver_all()
    assert await stack.found() == set()
    assert [event["data"].get("reason") for event in stack.engage.got if event["subject"] == row.call.call_id] == [
        "cancelled"
    ]


async def test_an_error_of_the_database_does_not_name_the_person(stack: ErasureStack):
    await stack.whole_call(await stack.place())
    await stack.execute("CREATE TABLE kept (contact_id text REFERENCES contacts)")
    await stack.execute("INSERT INTO kept SELECT contact_id FROM contacts")
    with pytest.raises(Retryable) as caught:
        await stack.eraser.erase(PHONE, "request 17", entry_at(stack.clock.now()))
    told = f"{caught.value} {caught.value.__cause__}"
    assert not [canary for canary in (*CANARIES, PHONE) if canary in told]
    await stack.execute("DROP TABLE kept")
    await stack.erase()


async def test_a_call_that_is_still_to_be_stopped_is_in_progress(stack: ErasureStack):
    talk = await stack.place()
    await stack.whole_call(talk)
    await LATE["call_analyzed of a second call"](stack, talk, {})
    with pytest.raises(StillInProgress):
        await stack.erase()
    await stack.deliver_all()
    await stack.erase()
    await stack.deliver_all()
    assert await stack.found() == set()
