"""What an operator wants to know of the database before anything else."""

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.schema import NEWEST
from ringback.domain.inspection import ServerFacts, WorkFacts

_SERVER = """
SELECT current_setting('server_version') AS server, current_setting('server_version_num')::int AS server_number,
       clock_timestamp() AS now, to_regclass('alembic_version') IS NOT NULL AS is_ours
"""
_SCHEMA = "SELECT version_num FROM alembic_version"
_INSTALLATION = "SELECT paused_at, pause_reason, breaker_until, breaker_reason FROM installation"
_OUTBOX = """
SELECT count(*) AS waiting, min(created_at) AS oldest FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL
"""


class PostgresInspection:
    """Implements `flows.operator.diagnostics.Database`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def server(self) -> ServerFacts:
        async with connection_of(self._pool) as connection:
            row = (await connection.fetch(_SERVER))[0]
            schema = await connection.fetchval(_SCHEMA) if row["is_ours"] else None
        return ServerFacts(row["server"], row["server_number"], row["now"], schema, NEWEST)

    async def work(self) -> WorkFacts:
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_INSTALLATION), await connection.fetch(_OUTBOX)
        return WorkFacts(**rows[0][0], **rows[1][0])
