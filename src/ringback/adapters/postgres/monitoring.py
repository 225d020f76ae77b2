"""What an operator watches: whether the database can be written, what waits in it, and the state of dialing."""

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.domain.operations import Backlog, DialingFacts

_IS_PAUSED = "SELECT paused_at IS NOT NULL FROM installation"
# PostgreSQL prefers the BRIN index outbox_age, which leads to all pages that ever had a waiting row. Without bitmap and
# sequential scans it reads an index of the waiting rows only.
_BY_INDEX = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
_BACKLOG = """
SELECT kind, count(*) AS rows, extract(epoch FROM clock_timestamp() - min(created_at))::float AS oldest_age_s
FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL GROUP BY kind
"""
_AGE = "greatest(0, coalesce(extract(epoch FROM clock_timestamp() - ({})), 0))::float"
# An unknown attempt always has a next check, and that index has only the attempts in progress.
_DIALING = f"""
SELECT paused_at IS NOT NULL AS is_paused, coalesce(breaker_until > clock_timestamp(), false) AS is_breaker_open,
       (SELECT count(*) FROM attempts WHERE holds_slot) AS live,
       {_AGE.format("SELECT min(due_at) FROM tasks WHERE status = 'pending'")} AS pending_age_s,
       {_AGE.format("SELECT min(dispatched_at) FROM tasks WHERE status = 'dispatched'")} AS dispatched_age_s,
       unknown.attempts AS unknown, {_AGE.format("unknown.since")} AS unknown_age_s
FROM installation, (
    SELECT count(*) AS attempts, min(unknown_since) AS since FROM attempts
    WHERE state = 'unknown' AND next_check_at IS NOT NULL) AS unknown
"""


class PostgresMonitoring:
    """Implements `flows.operator.monitoring.MonitoredDatabase`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def check(self) -> None:
        async with connection_of(self._pool) as connection:
            # A row lock is a durable write. It changes no row, and waits for no statement of Ringback.
            await connection.execute("SELECT 1 FROM installation FOR KEY SHARE")

    async def is_paused(self) -> bool:
        async with connection_of(self._pool) as connection:
            return bool(await connection.fetchval(_IS_PAUSED))

    async def backlog(self) -> list[Backlog]:
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.execute(_BY_INDEX)
            return [Backlog(**row) for row in await connection.fetch(_BACKLOG)]

    async def dialing(self) -> DialingFacts:
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(_DIALING)
        assert row is not None, "the installation row is made by the migration"
        return DialingFacts(**row)
