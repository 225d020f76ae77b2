"""Erasing beside what others write at the same time: waited for or tried again, and no error names the person."""

import asyncio

import pytest

from ringback.adapters.postgres import acceptance
from ringback.domain.erasure import StillUnderWay
from ringback.domain.errors import Retryable

from .conftest import CANARIES, PHONE, Town
from .test_late_evidence import LATE


async def draft(town: Town):
    """An acceptance of another call to the person, decided and not written yet."""
    drafted = []

    async def keep(rows, now):
        drafted.extend(rows)
        return set()

    written, town.store.insert_accepted = town.store.insert_accepted, keep
    try:
        await town.post_call(key=None)
    except KeyError:
        pass  # it was not written
    finally:
        town.store.insert_accepted = written
    return drafted[0]


async def test_an_acceptance_that_is_not_committed_yet_is_waited_for(town: Town):
    await town.whole_call(await town.place())
    row = await draft(town)
    await town.warm_up()
    async with town.pool.acquire() as connection, connection.transaction():
        await connection.fetch(acceptance._INSERT, [acceptance._given(row)], town.clock.now())
        erasing = asyncio.ensure_future(town.erase())
        await asyncio.sleep(0.3)
        assert not erasing.done()
    await erasing
    accepted = await town.call(row.call.call_id)
    assert (accepted["status"], accepted["phone"]) == ("cancelled", "erased")
    await town.deliver_all()
    assert await town.found() == set()
    assert [event["data"].get("reason") for event in town.engage.got if event["subject"] == row.call.call_id] == [
        "cancelled"
    ]


async def test_an_error_of_the_database_does_not_name_the_person(town: Town):
    await town.whole_call(await town.place())
    await town.execute("CREATE TABLE kept (contact_id text REFERENCES contacts)")
    await town.execute("INSERT INTO kept SELECT contact_id FROM contacts")
    with pytest.raises(Retryable) as caught:
        await town.eraser.erase(PHONE, "request 17", town.clock.now())
    told = f"{caught.value} {caught.value.__cause__}"
    assert not [canary for canary in (*CANARIES, PHONE) if canary in told]
    await town.execute("DROP TABLE kept")
    await town.erase()


async def test_a_call_that_is_still_to_be_stopped_is_under_way(town: Town):
    talk = await town.place()
    await town.whole_call(talk)
    await LATE["call_analyzed of a second call"](town, talk, {})
    with pytest.raises(StillUnderWay):
        await town.erase()
    await town.deliver_all()
    await town.erase()
    await town.deliver_all()
    assert await town.found() == set()
