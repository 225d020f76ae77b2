"""A worker that is stopped in the middle of its claim neither dials later nor keeps the others from dialing."""

import asyncio

import pytest

from ringback.adapters.postgres.pool import IDLE_IN_TRANSACTION_S
from ringback.domain.errors import StoreUnavailable


async def freeze_in_a_claim(desk, message, meanwhile):
    """For longer than PostgreSQL's patience, which is shortened here, with every lock of a claim in hand."""
    async with desk.store.transaction() as tx:
        await tx._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
        await tx.lock_call(message.call_id)
        await tx.capacity(desk.clock.now())
        await meanwhile
        await tx.contact("crm-1")


async def test_postgresql_ends_the_transaction_of_a_frozen_worker_and_the_others_dial_on(desk):
    message = await desk.accept()
    with pytest.raises(StoreUnavailable):
        await freeze_in_a_claim(desk, message, asyncio.wait_for(desk.place(message), 10))
    assert len(desk.provider.dials) == 1


async def test_every_connection_has_that_patience(desk):
    async with desk.pool.acquire() as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == f"{IDLE_IN_TRANSACTION_S}s"
