"""Which of asyncpg's exceptions mean that the database is unavailable, and which that a connection is no good."""

import asyncpg

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
