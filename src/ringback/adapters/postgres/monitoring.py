"""What an operator watches: whether the database can be written, what waits in it, and the state of dialing."""

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.domain.operations import Backlog, DialingFacts

_IS_PAUSED = "SELECT paused_at IS NOT NULL FROM installation"
# Both read small partial indexes: outbox_open of the waiting rows, attempts_slots of the attempts that hold a slot.
_BACKLOG = """
SELECT kind, count(*) AS rows, extract(epoch FROM clock_timestamp() - min(created_at))::float AS oldest_age_s
FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL GROUP BY kind
"""
_DIALING = """
SELECT paused_at IS NOT NULL AS is_paused, coalesce(breaker_until > clock_timestamp(), false) AS is_breaker_open,
       (SELECT count(*) FROM attempts WHERE holds_slot) AS live
FROM installation
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
        async with connection_of(self._pool) as connection:
            return [Backlog(**row) for row in await connection.fetch(_BACKLOG)]

    async def dialing(self) -> DialingFacts:
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(_DIALING)
        assert row is not None, "the installation row is made by the migration"
        return DialingFacts(**row)
