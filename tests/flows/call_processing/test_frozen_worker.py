"""A worker that is stopped in the middle of its claim neither dials later nor keeps the others from dialing."""

import asyncio

import asyncpg
import pytest

from ringback.adapters.postgres.pool import IDLE_IN_TRANSACTION_S, LOCK_TIMEOUT_S, TRANSACTION_TIMEOUT_S
from ringback.domain.errors import StoreUnavailable

FROZEN_BETWEEN_STATEMENTS = "idle_in_transaction_session_timeout"
FROZEN_BEHIND_A_PREPARE = "transaction_timeout"


async def skip_without(limit, stack):
    """Skip the test of a limit that the server does not have: `transaction_timeout` came with version 17."""
    async with stack.pool.acquire() as connection:
        version = connection.get_server_version()
    if limit == FROZEN_BEHIND_A_PREPARE and version < (17,):
        pytest.skip(f"PostgreSQL {version.major} does not end such a transaction, see decision 0011")


async def freeze_in_a_claim(stack, message, limit, meanwhile):
    """Freeze for longer than the limit of PostgreSQL, which is shortened here, with every lock of a claim held."""
    async with stack.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        await tx.capacity.lock(stack.clock.now())
        # A transaction's timer that runs already takes no other time: it is stopped first.
        await tx._connection.execute(f"SET LOCAL {limit} = 0")
        await tx._connection.execute(f"SET LOCAL {limit} = 100")
        if limit == FROZEN_BEHIND_A_PREPARE:
            await tx._connection.raw.prepare("SELECT 'not executed'")
        await meanwhile
        await tx.contacts.get("crm-1")


@pytest.mark.parametrize("limit", [FROZEN_BETWEEN_STATEMENTS, FROZEN_BEHIND_A_PREPARE])
async def test_postgresql_ends_the_transaction_of_a_frozen_worker_and_the_others_dial_on(stack, limit):
    await skip_without(limit, stack)
    message = await stack.accept()
    with pytest.raises(StoreUnavailable):
        await freeze_in_a_claim(stack, message, limit, asyncio.wait_for(stack.place(message), 10))
    assert len(stack.provider.dials) == 1


async def test_between_preparing_and_executing_postgresql_calls_no_session_idle(stack):
    async with stack.pool.acquire() as connection, stack.pool.acquire() as other:
        transaction = connection.transaction()
        await transaction.start()
        await connection.prepare("SELECT 'not executed'")
        seen = await other.fetchval("SELECT state FROM pg_stat_activity WHERE pid = $1", connection.get_server_pid())
        assert seen == "active"
        await transaction.rollback()


async def wait_for_the_lock(stack, message):
    async with stack.store.transaction() as waiter:
        await waiter._connection.execute("SET LOCAL lock_timeout = 50")
        await waiter.lock_call(message.call_id)


async def test_who_waits_for_the_lock_leaves_before_it_could_be_left_with_it(stack):
    message = await stack.accept()
    async with stack.store.transaction() as holder:
        await holder.lock_call(message.call_id)
        # The database is unavailable for this message: it is retried in place, and is no dead letter.
        with pytest.raises(StoreUnavailable, match="LockNotAvailable"):
            await wait_for_the_lock(stack, message)


async def test_every_connection_has_those_limits(stack):
    assert LOCK_TIMEOUT_S < IDLE_IN_TRANSACTION_S < TRANSACTION_TIMEOUT_S
    await skip_without(FROZEN_BEHIND_A_PREPARE, stack)
    async with stack.pool.acquire() as connection:
        assert await connection.fetchval(f"SHOW {FROZEN_BETWEEN_STATEMENTS}") == f"{IDLE_IN_TRANSACTION_S}s"
        assert await connection.fetchval(f"SHOW {FROZEN_BEHIND_A_PREPARE}") == f"{TRANSACTION_TIMEOUT_S}s"
        assert await connection.fetchval("SHOW lock_timeout") == f"{LOCK_TIMEOUT_S}s"


async def test_the_error_of_its_end_means_that_the_database_is_unavailable(stack):
    with pytest.raises(StoreUnavailable):
        async with stack.store.transaction():
            raise asyncpg.TransactionTimeoutError("terminating connection due to transaction timeout")
