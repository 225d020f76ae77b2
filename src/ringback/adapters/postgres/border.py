"""Whether an installation is real or emulated, as its database says it."""

import asyncpg

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.domain.errors import StartRefused

# What the emulator alone writes: the name of its agents in every webhook, the host of its recordings.
# Read once in an installation's life, and only from one that was used before there was a mark.
_EVIDENCE = """
WITH newest AS (
    SELECT provider_call_id, recording_url FROM attempts WHERE provider_call_id IS NOT NULL
    ORDER BY attempt_id DESC LIMIT 1000
)
SELECT bool_or(coalesce(recording_url LIKE 'https://recordings.emulator.invalid/%', false) OR EXISTS (
    SELECT FROM provider_events
    WHERE provider_events.provider_call_id = newest.provider_call_id AND body LIKE '%"Emulated agent"%'
)) FROM newest
"""
_MARK = "UPDATE installation SET emulated = $1 WHERE emulated IS NULL"
_READ = "SELECT emulated FROM installation"
_NOT_UPGRADED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


class PostgresBorder:
    """Implements `flows.border.Installation`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def emulated(self) -> bool | None:
        return await self._read_old(_READ)

    async def evidence(self) -> bool | None:
        return await self._read_old(_EVIDENCE)

    async def _read_old(self, query: str) -> bool | None:
        try:
            async with connection_of(self._pool) as connection:
                found: bool | None = await connection.fetchval(query)
                return found
        except _NOT_UPGRADED:
            return None

    async def mark(self, emulated: bool) -> bool:
        try:
            async with connection_of(self._pool) as connection:
                await connection.execute(_MARK, emulated)
                return bool(await connection.fetchval(_READ))
        except _NOT_UPGRADED:
            raise StartRefused("the database is not upgraded: run ringback db upgrade") from None
