"""The capacity of the installation: its lock, its counts, and the breaker of the provider's account."""

from dataclasses import replace
from datetime import datetime

from ringback.adapters.postgres.locks import LOCK_CAPACITY
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.eligibility import CapacityFacts

CAPACITY = """
SELECT paused_at IS NOT NULL AS paused, breaker_until, emulated,
       (SELECT count(*) FROM attempts WHERE holds_slot) AS live,
       (SELECT count(*) FROM attempts WHERE claimed_at > $1::timestamptz - interval '1 second') AS started_last_second
FROM installation
"""
# Only the first refusal, or that of a probe, trips the breaker. Dials that were in progress when it opened do not.
OPEN_BREAKER = """
UPDATE installation SET breaker_reason = $1, breaker_trips = breaker_trips + 1,
       breaker_until = $2::timestamptz + least(30 * power(2, least(breaker_trips, 10)), 600) * interval '1 second'
WHERE breaker_until IS NULL OR breaker_until <= $2::timestamptz OR breaker_reason = 'probing'
RETURNING breaker_until
"""
BREAKER_UNTIL = "SELECT breaker_until FROM installation"
CLOSE_BREAKER = "UPDATE installation SET breaker_until = NULL, breaker_reason = NULL, breaker_trips = 0"
PROBE_BREAKER = "UPDATE installation SET breaker_until = $1, breaker_reason = 'probing'"
FREE_SLOTS = """
SELECT CASE WHEN paused_at IS NOT NULL OR breaker_until > $3::timestamptz THEN 0
            ELSE greatest(0, least(
                $1 - (SELECT count(*) FROM attempts WHERE holds_slot),
                $2 - (SELECT count(*) FROM attempts WHERE claimed_at > $3::timestamptz - interval '1 second'))) END
FROM installation
"""


class PostgresCapacity:
    """Implements `storage.Capacity`."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection

    async def lock(self, now: datetime) -> CapacityFacts:
        record, before = await self._connection.read_in_turn(LOCK_CAPACITY, CAPACITY, now)
        counted = CapacityFacts(**record)
        # Each unit of its group that was here before may have claimed a call, which is not written yet.
        return replace(counted, live=counted.live + before, started_last_second=counted.started_last_second + before)

    async def open_breaker(self, reason: str, now: datetime) -> datetime:
        until: datetime | None = await self._connection.fetchval(OPEN_BREAKER, reason, now)
        return until or await self._connection.fetchval(BREAKER_UNTIL) or now

    async def probe_breaker(self, until: datetime) -> None:
        await self._connection.execute(PROBE_BREAKER, until)

    async def close_breaker(self) -> None:
        await self._connection.execute(CLOSE_BREAKER)
