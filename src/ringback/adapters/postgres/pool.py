"""Database connections, and the translation of their errors."""

import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from ringback.adapters.postgres.array_types import teach_arrays
from ringback.domain.errors import Retryable, StoreUnavailable

#: Errors after which the connection, or its server, is unusable. Another connection may reach a better server.
#: SQLSTATE class 08 (connection), 57 (shutting down, starting up, cancelled), 58 (unreadable files), 25006 (read-only,
#: as after a fail-over), 25P03 and 25P04 (in a transaction for too long, because this process was frozen), the driver's
#: own states, and socket errors including TimeoutError. InternalClientError is not a bug: a connection that is cut
#: between preparing and executing a statement says "cannot switch to state" (seen with asyncpg 0.32).
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
#: Errors of a new connection: SQLSTATE class 28 (user or password), and 3D000 (no such database). A running process
#: meets them while a password changes, or while a database is restored under its name.
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
#: CONDEMNS, _REFUSED, and errors after which the same connection recovers: class 53 (no connections, memory or disk
#: left), 40 (deadlock, serialization), 55P03 (the process that holds the lock is frozen), and a plan older than the
#: schema. Within a transaction the driver cannot plan such a statement again.
UNAVAILABLE = (
    *CONDEMNS,
    *_REFUSED,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
)

#: Why a server or a URL cannot be used, for the operator who set it. The first class that matches counts.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "the server's certificate is not trusted: check sslrootcert and the host's name"),
    (ssl.SSLError, "there is no TLS with the server: check sslmode and the files that the URL names"),
    (ConnectionRefusedError, "no server listens there"),
    (ConnectionError, "the server closes the connection, or offers no TLS"),
    (socket.gaierror, "the host has no address"),
    (TimeoutError, "there is no answer in time"),
    (FileNotFoundError, "the socket, or a file that the URL names, does not exist"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the server refuses the user or the password"),
    (asyncpg.InvalidCatalogNameError, "the server has no such database"),
    (asyncpg.TooManyConnectionsError, "the server has no free connection"),
    (asyncpg.TargetServerAttributeNotMatched, "the server is read-only"),
    (ValueError, "the URL is malformed"),  # asyncpg's own error about a URL is a ValueError too
)
#: libpq's default for sslrootcert, which asyncpg shares, is a file in the home directory of the process.
_NO_ROOT_CERTIFICATE = "sslmode asks to verify the server's certificate, and sslrootcert names no file with its CA"

Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection
Pool = asyncpg.Pool

#: The time that a unit of work may wait for a free connection. After it the caller gets "unavailable".
ACQUIRE_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
DEADLOCK_RETRY_S = 0.1
#: A process that freezes in a claim holds the installation's one capacity lock. PostgreSQL ends its transaction after
#: this time, and the others dial again. A live process is never idle between two statements for a second.
IDLE_IN_TRANSACTION_S = 10
#: A statement of a frozen process that waits for that lock leaves the queue before it can get the lock.
LOCK_TIMEOUT_S = 5
#: asyncpg prepares a statement with a Flush, not a Sync. A process that freezes between preparing and executing is not
#: "idle" to PostgreSQL, so only a limit on the whole transaction ends it. PostgreSQL has that limit since version 17.
TRANSACTION_TIMEOUT_S = 15
_HAS_TRANSACTION_TIMEOUT = (17,)

# Every statement here that changes an attempt or a call counts it too. Migration 0011 marks what others change.
_SESSION = f"""
SET ringback.counts = 'on';
SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S}s';
SET lock_timeout = '{LOCK_TIMEOUT_S}s'
"""
_BACKEND = "SELECT pg_backend_pid()"

_CLASH = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


def encode_json(value: object) -> str:
    """Encode a value for a `json` or `jsonb` column."""
    return msgspec.json.encode(value).decode()


async def _prepare_any_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=encode_json, decoder=msgspec.json.decode, schema="pg_catalog")
    # Not as parameters of the start: PgBouncer refuses those, or is told to ignore them.
    await connection.execute(_SESSION)
    # `json` keeps the text as written. The standard decoder keeps the order of the keys too.
    await connection.set_type_codec("json", encoder=encode_json, decoder=json.loads, schema="pg_catalog")
    teach_arrays(connection)


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await _prepare_any_connection(connection)
    if connection.get_server_version() >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute(f"SET transaction_timeout = '{TRANSACTION_TIMEOUT_S}s'")


async def keep_session(_: asyncpg.Connection) -> None:
    """Skip the RESET round trip: the product uses transaction-scoped locks and settings only."""


async def open_pool(database_url: str, *, max_size: int, is_unlimited: bool = False) -> Pool:
    """Open a pool that reconnects by itself. Raises StoreUnavailable, also if every server of the URL is read-only.

    `is_unlimited`: without limits of a statement's and a transaction's time, for work that holds no lock of dialing.
    """
    async with opening():
        pool = await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=max_size,
            init=_prepare_any_connection if is_unlimited else _prepare_connection,
            reset=keep_session,
            command_timeout=None if is_unlimited else COMMAND_TIMEOUT_S,
            statement_cache_size=512,
            # The URL may name several hosts, or a name that now leads to another server. Only a writable one is used.
            target_session_attrs=SessionAttribute.read_write,
            server_settings={"application_name": "ringback", "timezone": "UTC"},
        )
        try:
            await _refuse_shared_sessions(pool, database_url)
        except BaseException:
            pool.terminate()
            raise
    return pool


async def _refuse_shared_sessions(pool: Pool, database_url: str) -> None:
    """Raise StoreUnavailable if two connections have one session, as with PgBouncer in transaction mode.

    The settings of a session and LISTEN would be lost there without an error.
    """
    async with pool.acquire() as connection:
        backend = await connection.fetchval(_BACKEND)
        if backend == connection.get_server_pid():
            return
        # A pooler is between. It gives the session that was free last, unless the first connection keeps it.
        other = await asyncpg.connect(database_url, statement_cache_size=0)
        try:
            is_shared = await other.fetchval(_BACKEND) == backend
        finally:
            await other.close()
    if is_shared:
        raise StoreUnavailable("connections share sessions there: use a pooler's session mode, or PostgreSQL itself")


@asynccontextmanager
async def opening() -> AsyncIterator[None]:
    """Translate the errors of a first connection. Raises StoreUnavailable with the reason."""
    try:
        yield
    except (*UNAVAILABLE, ValueError) as error:
        reason = next((said for kind, said in _REASONS if isinstance(error, kind)), type(error).__name__)
        if isinstance(error, ValueError) and str(error).startswith("root certificate file"):
            reason = _NO_ROOT_CERTIFICATE
        raise StoreUnavailable(reason) from error


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate the errors of a unit of work. Raises StoreUnavailable and Retryable."""
    try:
        yield
    except _CLASH as error:
        raise Retryable(type(error).__name__, DEADLOCK_RETRY_S) from error
    except UNAVAILABLE as error:
        raise StoreUnavailable(type(error).__name__) from error


@asynccontextmanager
async def reading_for_values(pool: Pool) -> AsyncIterator[Connection]:
    """Take a connection for reads of one moment, each planned for its own values. Raises StoreUnavailable.

    After five executions PostgreSQL plans a statement for any values (its documentation of PREPARE). It then takes
    every range of times for a small one, and reads and sorts the whole range for each page.
    """
    async with connection_of(pool) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        yield connection


@asynccontextmanager
async def connection_of(pool: Pool, timeout_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[Connection]:
    """Lend one connection for one unit of work. Raises StoreUnavailable and Retryable.

    After an error that condemns the connection or its server, the connection is closed and not lent again.
    """
    async with translated():
        async with pool.acquire(timeout=timeout_s) as connection:
            try:
                yield connection
            except CONDEMNS as error:
                # The pool has a lost connection back already. Its refusal would hide why the connection was lost.
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    # The other connections lead to the same server, so none of them is lent again.
                    await pool.expire_connections()
                raise
