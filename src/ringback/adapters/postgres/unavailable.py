"""Which of asyncpg's exceptions mean that the database is away, not that we are wrong."""

import asyncpg

#: Class 08 (connection), 53 (no connections, memory or disk left), 57 (shutting down, starting up, cancelled), 58
#: (files that cannot be read), 40 (deadlock, serialization), 25006 (a failed-over primary), 25P03 and 25P04 (in a
#: transaction for too long, because this process was frozen), 55P03 (who holds the lock is frozen), the driver's own
#: states, and the socket's errors with TimeoutError among them. InternalClientError is no bug of ours: a connection cut
#: between preparing and executing a statement says "cannot switch to state" (seen with asyncpg 0.32).
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
