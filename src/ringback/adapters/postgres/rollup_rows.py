"""Count, fold, recompute and rebuild: everything that writes the rollups, and the check that compares every cell."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from ringback.adapters.clock import id_of
from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.locks import TRY_CONTACTS_OF_CALLS
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.rollups import (
    DELTA_COLUMNS,
    FOLD,
    GRAINS,
    HOUR,
    INSERT_DELTAS,
    LOCAL,
    TRY_FOLD_LOCK,
    Grain,
    delta_values,
)
from ringback.adapters.postgres.rows import attempt_from, call_from, named_columns
from ringback.domain.analytics_query import midnight, month_of
from ringback.domain.attempt import Attempt
from ringback.domain.audit import AuditEntry
from ringback.domain.call import Call
from ringback.domain.contribution import Row, attempt_row, count_attempt, count_call
from ringback.failpoints import Failpoint, reach

#: Columns that no number depends on, and that may be long.
_LONG = frozenset({"transcript", "summary", "analysis", "recording_url"})
_REQUEST = "json_build_object('agent_id', request ->> 'agent_id', 'from_number', request ->> 'from_number') AS request"


def _short_columns() -> str:
    named = named_columns(Attempt).split(", ")
    replaced = {f'"{name}"': f"NULL AS {name}" for name in _LONG} | {'"request"': _REQUEST}
    return ", ".join(replaced.get(name, name) for name in named)


# In order, because otherwise the planner reads the table after an upgrade, where at first every row is uncounted.
_UNCOUNTED = """
SELECT call_id FROM (SELECT call_id FROM attempts
    WHERE recount OR (verdict_type IS NOT NULL AND counted IS NULL) ORDER BY call_id LIMIT $1) AS of_attempts
UNION SELECT call_id FROM (SELECT call_id FROM calls
    WHERE recount OR (final AND counted IS NULL) ORDER BY call_id LIMIT $1) AS of_calls
"""
# Nothing waits here: people and rows that are locked are skipped. With the people's locks no other unit is between its
# reads of a call and its writes.
_LOCK_CALLS = f"SELECT {named_columns(Call)} FROM calls WHERE call_id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED"
_CALLS = f"SELECT {named_columns(Call)} FROM calls WHERE call_id = ANY ($1::text[])"
_NEXT_IDS = "SELECT call_id FROM calls WHERE call_id > $1 ORDER BY call_id LIMIT 200"
_ATTEMPTS = f"SELECT {_short_columns()} FROM attempts WHERE call_id = ANY ($1::text[]) ORDER BY attempt_id"
_RECENT = f"SELECT {_short_columns()} FROM attempts WHERE verdict_type IS NOT NULL AND sent_at >= $1 LIMIT $2"
_SAVE_ATTEMPTS = """
UPDATE attempts SET counted = row.counted, recount = false
FROM jsonb_to_recordset($1::jsonb) AS row (id text, counted jsonb) WHERE attempt_id = row.id
"""
_SAVE_CALLS = """
UPDATE calls SET counted = row.counted, recount = false
FROM jsonb_to_recordset($1::jsonb) AS row (id text, counted jsonb) WHERE call_id = row.id
"""
_OF_ATTEMPTS = f"""
SELECT {delta_values("row")} FROM attempts, jsonb_populate_record(NULL::rollup_deltas, counted) AS row
WHERE counted IS NOT NULL AND counted <> '{{}}'
"""
_OF_CALLS = f"""
SELECT {delta_values("row")} FROM calls, jsonb_populate_recordset(NULL::rollup_deltas, counted -> 'rows') AS row
WHERE counted IS NOT NULL
"""
_LOCK_FOLDS = TRY_FOLD_LOCK.replace("_xact", "")
_UNLOCK_FOLDS = _LOCK_FOLDS.replace("try_advisory_lock", "advisory_unlock")


def differences(grain: Grain, truth: str, *, condition: str = "true") -> str:
    """The cells in which `truth` (deltas) and what is shown differ, each with the numbers to add to what is shown."""
    keys = ", ".join(grain.keys)
    negative = ", ".join(f"-{name}" for name in grain.measures)
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in grain.measures)
    wrong = " OR ".join(f"sum({name}) <> 0" for name in grain.measures)
    return f"""
        SELECT {keys}, {sums} FROM (
            {grain.select(truth)}
            UNION ALL SELECT {keys}, {negative} FROM {grain.table} WHERE NOT purged
            UNION ALL SELECT {keys}, {negative} FROM ({grain.select("unpurged")}) AS unfolded
        ) AS both_sides WHERE {condition} GROUP BY {keys} HAVING {wrong}"""


_UNPURGED = f"WITH unpurged AS (SELECT {DELTA_COLUMNS} FROM rollup_deltas WHERE NOT purged) "


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell that is wrong by these numbers, or a row (`table` attempts or calls) whose `counted` is not its facts'."""

    table: str
    key: Row
    missing: dict[str, int]


#: Every read of the statistics scans the deltas, and deleted ones are scanned until a VACUUM. Autovacuum comes once a
#: minute, after tens of thousands. This many take about 0.3 ms. It skips the table if it may not, or another does it.
_VACUUM_AFTER = 2000
_VACUUM = "VACUUM (SKIP_LOCKED) rollup_deltas"


class PostgresRollupRows:
    """Implements `flows.rollups.RollupRows`. `zone` defines days.

    `check` and `rebuild` need a pool without limits of time, because they read every row.
    """

    def __init__(self, pool: Pool, zone: tzinfo) -> None:
        self._pool = pool
        self._zone = zone
        self._deleted = 0  # deltas since the last VACUUM of this process

    async def fold(self, limit: int) -> int | None:
        async with connection_of(self._pool) as connection:
            async with connection.transaction():
                if not await connection.fetchval(TRY_FOLD_LOCK):
                    return None
                folded = int(await connection.fetchval(FOLD, limit))
                if folded:
                    reach(Failpoint.ROLLUP_FOLDED)
            self._deleted += folded
            if self._deleted >= _VACUUM_AFTER:
                self._deleted = 0
                await connection.execute(_VACUUM)
        return folded

    async def count_uncounted(self, limit: int) -> int:
        async with connection_of(self._pool) as connection:
            ids = [row[0] for row in await connection.fetch(_UNCOUNTED, limit)]
            return len(await self._count(connection, ids)) if ids else 0

    async def _count(self, connection: Connection, ids: Collection[str]) -> set[str]:
        """Count these calls and their attempts. Returns the ids of the calls that were not locked."""
        async with connection.transaction():
            people = await connection.fetch(TRY_CONTACTS_OF_CALLS, ids)
            free = [row["call_id"] for row in people if row["locked"]]
            calls = {row["call_id"]: call_from(row) for row in await connection.fetch(_LOCK_CALLS, free)}
            attempts = [attempt_from(row) for row in await connection.fetch(_ATTEMPTS, list(calls))]
            deltas = [delta for attempt in attempts for delta in count_attempt(attempt, self._zone)]
            for call in calls.values():
                own = [attempt for attempt in attempts if attempt.call_id == call.call_id]
                deltas += count_call(call, own, self._zone)
            rows = [{"id": one.attempt_id, "counted": one.counted} for one in attempts]
            await connection.execute(_SAVE_ATTEMPTS, rows)
            await connection.execute(_SAVE_CALLS, [{"id": i, "counted": one.counted} for i, one in calls.items()])
            await connection.execute(INSERT_DELTAS, deltas)
            reach(Failpoint.ROLLUP_COUNTED)
        return set(calls)

    async def check(self, days: tuple[date, date] | None = None) -> list[Difference]:
        """Recompute rows and compare cells, in one snapshot. Nothing waits, and nothing is changed.

        `days` are the first one and the one after the last: their cells, and those of the months that they touch.
        """
        async with connection_of(self._pool) as connection:
            async with connection.transaction(isolation="repeatable_read"):
                await _choose_calls(connection, days, self._zone)
                found = [one async for one in self._wrong_rows(connection)]
                await _collect_truth(connection, " AND call_id IN (SELECT call_id FROM checked)")
                for grain in GRAINS:
                    condition, values = _cells_of(grain, days, self._zone)
                    statement = _UNPURGED + differences(grain, "truth", condition=condition)
                    found += [_difference_of(grain, row) for row in await connection.fetch(statement, *values)]
                await connection.execute("DROP TABLE truth, checked")
        return found

    async def check_since(self, hour: datetime, limit: int) -> list[Difference]:
        """A small check: the cells of these hours, and the facts of up to `limit` of their attempts."""
        recent = f"({_OF_ATTEMPTS} AND verdict_type IS NOT NULL AND sent_at >= $1)"
        statement = _UNPURGED + differences(HOUR, recent, condition="hour >= $1")
        async with connection_of(self._pool) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                found = [_difference_of(HOUR, row) for row in await connection.fetch(statement, hour)]
                attempts = [attempt_from(row) for row in await connection.fetch(_RECENT, hour, limit)]
        return found + list(self._wrong_attempts(attempts))

    async def rebuild(self, entry: AuditEntry) -> list[Difference]:
        """Count every row anew, then correct every cell that differs. Returns the corrected cells.

        Calls continue meanwhile: a correction is a change of a number, so numbers that are added at the same time stay.
        The entry is committed first, because a rebuild is many transactions.
        """
        async with connection_of(self._pool) as connection:
            async with connection.transaction():
                await append(connection, entry)
            await self._count_all(connection)
            while not await connection.fetchval(_LOCK_FOLDS):
                await asyncio.sleep(0.1)
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    return await _correct_cells(connection)
            finally:
                await connection.execute(_UNLOCK_FOLDS)

    async def _count_all(self, connection: Connection) -> None:
        last, skipped = "", set[str]()
        while ids := [row[0] for row in await connection.fetch(_NEXT_IDS, last)]:
            last = ids[-1]
            skipped |= set(ids) - await self._count(connection, ids)
        while skipped:
            existing = {row[0] for row in await connection.fetch(_EXISTING, list(skipped))}
            skipped = existing - await self._count(connection, existing)
            await asyncio.sleep(0.05)

    async def _wrong_rows(self, connection: Connection) -> AsyncIterator[Difference]:
        last = ""
        page = "SELECT call_id FROM checked WHERE call_id > $1 ORDER BY call_id LIMIT 1000"
        while ids := [row[0] for row in await connection.fetch(page, last)]:
            last = ids[-1]
            calls = [call_from(record) for record in await connection.fetch(_CALLS, ids)]
            attempts = [attempt_from(row) for row in await connection.fetch(_ATTEMPTS, [c.call_id for c in calls])]
            for wrong in self._wrong_attempts(attempts):
                yield wrong
            by_call: dict[str, list[Attempt]] = {}
            for attempt in attempts:
                by_call.setdefault(attempt.call_id, []).append(attempt)
            for call in calls:
                if missing := count_call(call, by_call.get(call.call_id, []), self._zone):
                    yield Difference("calls", {"call_id": call.call_id}, {"rows": len(missing)})

    def _wrong_attempts(self, attempts: Iterable[Attempt]) -> Iterable[Difference]:
        for attempt in attempts:
            right, counted = attempt_row(attempt, self._zone), attempt.counted
            if right != counted:
                numbers = {
                    name: value - (counted or {}).get(name, 0)
                    for name, value in (right or {}).items()
                    if isinstance(value, int) and value != (counted or {}).get(name, 0)
                }
                attempt.counted = right  # the check of its call is by the right numbers
                yield Difference("attempts", {"attempt_id": attempt.attempt_id}, numbers)


_EXISTING = "SELECT call_id FROM calls WHERE call_id = ANY ($1::text[])"


async def _choose_calls(connection: Connection, days: tuple[date, date] | None, zone: tzinfo) -> None:
    """Write the ids of the calls to check: those that were accepted in the range, or have an attempt in it."""
    await connection.execute("CREATE TEMP TABLE checked (call_id text PRIMARY KEY) ON COMMIT DROP")
    if days is None:
        await connection.execute("INSERT INTO checked (call_id) SELECT call_id FROM calls")
    else:
        # A month by the contact's clock begins and ends up to a day beside the month of reports.
        since, until = (midnight(month, zone) for month in _months_of(days))
        since, until = since - timedelta(days=2), until + timedelta(days=2)
        await connection.execute(
            """INSERT INTO checked (call_id)
               SELECT call_id FROM attempts WHERE verdict_type IS NOT NULL AND sent_at >= $1 AND sent_at < $2
               UNION SELECT call_id FROM calls WHERE call_id >= $3 AND call_id < $4""",
            *(since, until, id_of(since), id_of(until)),
        )
    await connection.execute("ANALYZE checked")


def _months_of(days: tuple[date, date]) -> tuple[date, date]:
    """The first day of the months that these days touch, and the first day after them."""
    return month_of(days[0]), month_of(days[1] - timedelta(days=1), 1)


def _cells_of(grain: Grain, days: tuple[date, date] | None, zone: tzinfo) -> tuple[str, Sequence[date]]:
    """The condition of the cells of these days, and its values."""
    if days is None:
        return "true", ()
    time, first, following = "day", *days
    if grain is HOUR:
        time, first, following = "hour", midnight(days[0], zone), midnight(days[1], zone)
    elif grain is LOCAL:
        time, first, following = "month", *_months_of(days)
    return f"{time} >= $1 AND {time} < $2", (first, following)


async def _collect_truth(connection: Connection, condition: str = "") -> None:
    await connection.execute("CREATE TEMP TABLE truth (LIKE rollup_deltas) ON COMMIT DROP")
    for of_rows in (_OF_ATTEMPTS, _OF_CALLS):
        await connection.execute(f"INSERT INTO truth ({DELTA_COLUMNS}) {of_rows}{condition}")


async def _correct_cells(connection: Connection) -> list[Difference]:
    await _collect_truth(connection)
    corrected: list[Difference] = []
    for grain in GRAINS:
        rows = await connection.fetch(_UNPURGED + differences(grain, "truth"))
        corrected += [_difference_of(grain, row) for row in rows]
        wrong = f"SELECT {', '.join((*grain.keys, 'false', *grain.measures))} FROM ({differences(grain, 'truth')}) AS d"
        await connection.execute(_UNPURGED + grain.add(wrong))
    return corrected


def _difference_of(grain: Grain, row: Any) -> Difference:
    key = {name: str(row[name]) for name in grain.keys}
    return Difference(grain.table, key, {name: row[name] for name in grain.measures if row[name]})
