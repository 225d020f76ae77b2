"""The one row of `installation`: its mark, its pause, and the facts that an operator asks for first."""

import asyncpg

from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.locks import LOCK_CAPACITY
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.rows import literals
from ringback.adapters.postgres.schema import NEWEST
from ringback.domain.attempt import POSSIBLY_RINGING
from ringback.domain.audit import AuditEntry
from ringback.domain.errors import StartRefused
from ringback.domain.operations import MOST_WAITING, DialingState, EndedPause, FailedDelivery, ServerFacts, WorkFacts

# Only the emulator writes this agent name and this recording host. The query runs once in an installation's life, if
# the installation was used before the mark existed.
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


# A claim reads the pause after taking the same lock. It committed earlier, or it reads the new pause.
_PAUSE = """
UPDATE installation SET paused_at = coalesce(paused_at, $1), pause_reason = coalesce($2, pause_reason)
WHERE paused_at IS NULL OR pause_reason IS DISTINCT FROM coalesce($2, pause_reason)
"""
_PAUSED = "SELECT paused_at, pause_reason AS reason FROM installation"
_RESUME = "UPDATE installation SET paused_at = NULL, pause_reason = NULL WHERE paused_at IS NOT NULL"
_STATE = f"""
SELECT paused_at, pause_reason AS reason,
       (SELECT count(*) FROM attempts WHERE holds_person AND state IN {literals(POSSIBLY_RINGING)}) AS live
FROM installation
"""


class PostgresDialingSwitch:
    """Implements `flows.operator.dialing_control.DialingSwitch`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pause(self, reason: str | None, entry: AuditEntry) -> DialingState:
        state, _ = await self._set(entry, _PAUSE, entry.at, reason)
        return state

    async def resume(self, entry: AuditEntry) -> tuple[DialingState, EndedPause]:
        return await self._set(entry, _RESUME)

    async def _set(self, entry: AuditEntry, statement: str, *values: object) -> tuple[DialingState, EndedPause]:
        """Return the state after the statement, and the pause before it."""
        async with connection_of(self._pool) as connection:
            async with connection.transaction():
                await connection.execute(LOCK_CAPACITY)
                before = await connection.fetchrow(_PAUSED)
                if await connection.execute(statement, *values) == "UPDATE 1":
                    await append(connection, entry)
            # After the commit: counting attempts must not make the claims wait.
            row = await connection.fetchrow(_STATE)
        assert row is not None and before is not None, "the installation row is made by the migration"
        return DialingState(**row), EndedPause(**before)


_SERVER = """
SELECT current_setting('server_version') AS server, current_setting('server_version_num')::int AS server_number,
       clock_timestamp() AS now, to_regclass('alembic_version') IS NOT NULL AS is_ours
"""
_SCHEMA = "SELECT version_num FROM alembic_version"
_INSTALLATION = "SELECT paused_at, pause_reason, breaker_until, breaker_reason FROM installation"
_OPEN = "delivered_at IS NULL AND dead_at IS NULL"
_OUTBOX = f"""
SELECT (SELECT count(*) FROM (SELECT FROM outbox WHERE {_OPEN} LIMIT {MOST_WAITING + 1}) AS one) AS waiting,
       (SELECT created_at FROM outbox WHERE {_OPEN} ORDER BY id LIMIT 1) AS oldest
"""
_FAILED = "last_error IS NOT NULL AND kind IN ('abt_event', 'crm_fields', 'crm_note')"
# The newest row that is tried again, and the one that was given up last: each by its index.
_FAILED_DELIVERY = f"""
SELECT error, tries, is_dead FROM (
    (SELECT last_error AS error, tries, false AS is_dead, due_at AS at FROM outbox
     WHERE {_OPEN} AND {_FAILED} ORDER BY id DESC LIMIT 1)
    UNION ALL
    (SELECT last_error, tries, true, dead_at FROM outbox
     WHERE delivered_at IS NULL AND dead_at IS NOT NULL AND {_FAILED} ORDER BY dead_at DESC, id DESC LIMIT 1)
) AS newest ORDER BY at DESC LIMIT 1
"""


class PostgresInspection:
    """Implements `flows.operator.diagnostics.Database`."""

    def __init__(self, pool: Pool, hashing: Hashing) -> None:
        self._pool = pool
        self._hashing = hashing

    async def server(self) -> ServerFacts:
        async with connection_of(self._pool) as connection:
            row = (await connection.fetch(_SERVER))[0]
            schema = await connection.fetchval(_SCHEMA) if row["is_ours"] else None
        return ServerFacts(row["server"], row["server_number"], row["now"], schema, NEWEST)

    async def work(self) -> WorkFacts:
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_INSTALLATION), await connection.fetch(_OUTBOX)
            failed = await connection.fetchrow(_FAILED_DELIVERY)
        return WorkFacts(**rows[0][0], **rows[1][0], failed_delivery=FailedDelivery(**failed) if failed else None)

    async def check_erasure_key(self) -> None:
        async with connection_of(self._pool) as connection:
            await self._hashing.check(connection)
