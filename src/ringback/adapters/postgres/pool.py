"""Connections, and what their failures mean to the rest of the product."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from ringback.domain.errors import Retryable, StoreUnavailable

#: The connection, or the server behind it, is of no use any more; another connection may reach a better one. Class 08
#: (connection), 57 (shutting down, starting up, cancelled), 58 (files that cannot be read), 25006 (the server takes no
#: writes, as after a fail-over), 25P03 and 25P04 (in a transaction for too long, because this process was frozen), the
#: driver's own states, and the socket's errors with TimeoutError among them. InternalClientError is no bug of ours: a
#: connection cut between preparing and executing a statement says "cannot switch to state" (seen with asyncpg 0.32).
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
CONDEMNS = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
#: Those, and what passes on the same connection: class 53 (no connections, memory or disk left), 40 (deadlock,
#: serialization), 55P03 (the process that holds the lock is frozen), and a statement whose plan is older than the
#: schema, within a transaction, where the driver cannot plan it anew by itself.
GONE = (
    *CONDEMNS,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
)

Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection
Pool = asyncpg.Pool

#: How long a unit of work may wait for a free connection; behind it the caller hears "unavailable" instead of hanging.
ACQUIRE_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
DEADLOCK_RETRY_S = 0.1
#: A process that is frozen within a claim holds the installation's one capacity lock: PostgreSQL ends its transaction
#: after this long, so that the others dial on. What is alive is never idle between two statements for a second.
IDLE_IN_TRANSACTION_S = 10
#: The statements of a frozen process that wait for that lock leave its queue before they can come into its possession.
LOCK_TIMEOUT_S = 5
#: asyncpg prepares a statement with a Flush, not a Sync: who is frozen between preparing and executing is not "idle" to
#: PostgreSQL, and only a limit on the whole transaction ends it. There is one since PostgreSQL 17.
TRANSACTION_TIMEOUT_S = 15
_HAS_TRANSACTION_TIMEOUT = (17,)

_CLASH = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


def _encode_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=msgspec.json.decode, schema="pg_catalog")
    # `json` keeps the text as written; the standard decoder keeps the order of the keys too.
    await connection.set_type_codec("json", encoder=_encode_json, decoder=json.loads, schema="pg_catalog")
    if connection.get_server_version() >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute(f"SET transaction_timeout = '{TRANSACTION_TIMEOUT_S}s'")


async def _keep_session(_: asyncpg.Connection) -> None:
    """The product uses transaction-scoped locks and settings only: a returned connection needs no RESET round trip."""


async def open_pool(database_url: str, *, max_size: int) -> Pool:
    """Raises StoreUnavailable, also when every server of the URL is read-only. The pool reconnects by itself."""
    async with _translated():
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=max_size,
            init=_prepare_connection,
            reset=_keep_session,
            command_timeout=COMMAND_TIMEOUT_S,
            statement_cache_size=512,
            # Of several hosts, or behind one name that leads to another server now: only one that takes writes.
            target_session_attrs=SessionAttribute.read_write,
            server_settings={
                "application_name": "ringback",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
                "lock_timeout": f"{LOCK_TIMEOUT_S}s",
            },
        )


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except _CLASH as error:
        raise Retryable(type(error).__name__, DEADLOCK_RETRY_S) from error
    except GONE as error:
        raise StoreUnavailable(type(error).__name__) from error


@asynccontextmanager
async def connection_of(pool: Pool, timeout_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[Connection]:
    """One connection for one unit of work. After an error that speaks against the connection, or the server behind it,
    it is closed and not lent again; raises what `open_pool` raises."""
    async with _translated():
        async with pool.acquire(timeout=timeout_s) as connection:
            try:
                yield connection
            except CONDEMNS as error:
                connection.terminate()
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    # The others lead to the same server: none of them is lent again.
                    await pool.expire_connections()
                raise
