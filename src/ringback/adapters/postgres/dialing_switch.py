"""The pause, written under the lock that every claim holds until its commit."""

from datetime import datetime

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.rows import literals
from ringback.adapters.postgres.statements import LOCK_CAPACITY
from ringback.domain.attempt import POSSIBLY_RINGING
from ringback.domain.dialing_state import DialingState

# A claim reads the pause behind this same lock: it committed before, or it sees what is written here.
_PAUSE = """
UPDATE installation SET paused_at = coalesce(paused_at, $1), pause_reason = coalesce($2, pause_reason)
"""
_RESUME = "UPDATE installation SET paused_at = NULL, pause_reason = NULL"
_STATE = f"""
SELECT paused_at, pause_reason AS reason,
       (SELECT count(*) FROM attempts WHERE state IN {literals(POSSIBLY_RINGING)}) AS live
FROM installation
"""


class PostgresDialingSwitch:
    """Implements `flows.operator.dialing_control.DialingSwitch`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pause(self, reason: str | None, now: datetime) -> DialingState:
        return await self._set(_PAUSE, now, reason)

    async def resume(self) -> DialingState:
        return await self._set(_RESUME)

    async def _set(self, statement: str, *values: object) -> DialingState:
        async with connection_of(self._pool) as connection:
            async with connection.transaction():
                await connection.execute(LOCK_CAPACITY)
                await connection.execute(statement, *values)
            # Behind the commit: counting attempts must not make the claims wait.
            row = await connection.fetchrow(_STATE)
        assert row is not None, "the installation row is made by the migration"
        return DialingState(**row)
