"""Reads of the statistics: rollups and unfolded deltas in one statement, and the rows behind a number."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ringback.adapters.clock import id_of
from ringback.adapters.postgres.pool import Connection, Pool, connection_of, reading_for_values
from ringback.adapters.postgres.rollups import DAY, HIST, HOUR, LOCAL, NUMBER, PERSON, REASON
from ringback.adapters.postgres.rows import item_of
from ringback.domain.analytics_query import Cut, Filter
from ringback.domain.metrics import is_of_persons

_GRAINS = {
    "hour": HOUR,
    "day": DAY,
    "number": NUMBER,
    "local": LOCAL,
    "hist": HIST,
    "reason": REASON,
    "person": PERSON,
}
_TIMES = {"hour": "hour", "local": "month"}

# $4 is the last attempt of the page before. Without it, every id is greater than the empty one. With a condition for
# the first page alone, the index gives no start, and each page reads all those before it.
_AFTER = """(sent_at, attempt_id) > (CASE WHEN $4::text IS NULL THEN $1
             ELSE (SELECT sent_at FROM attempts WHERE attempt_id = $4) END, coalesce($4, ''))"""


def _attempt_rows(counts: str) -> str:
    """`counts` is a condition on `counted`."""
    return f"""
SELECT call_id, contact_id, attempt_id AS row_id, attempt_id, number, sent_at, counted ->> 'outcome' AS outcome,
       counted ->> 'reason' AS reason, cost_cents, duration_ms
FROM attempts WHERE verdict_type IS NOT NULL AND {_AFTER} AND sent_at < $2 AND counted @> $3
  AND ($6::text IS NULL OR (counted ->> 'month' >= $6 AND counted ->> 'month' < $7))
  AND ($8::text IS NULL OR counted ->> 'reason' = $8) AND {counts}
ORDER BY sent_at, attempt_id LIMIT $5
"""


_OF_PERSON = """call_id, calls.contact_id, attempt_id, number, sent_at, calls.status AS outcome, calls.reason,
       NULL::float AS cost_cents, NULL::bigint AS duration_ms"""
# The person of a call is counted where its first attempt is.
_FIRST_ATTEMPT = """verdict_type IS NOT NULL AND calls.counted -> 'rows' @> jsonb_build_array($3::jsonb)
  AND number = (SELECT min(made::integer) FROM jsonb_object_keys(calls.counted -> 'attempts') AS made)"""
_DAY = "calls.counted #>> '{rows,0,day}'"


def _rare_person_rows(measure: str) -> str:
    """By their days. $6 and $7 are days around the range, because it may be of another zone than the counted days."""
    return f"""
SELECT {_OF_PERSON}, call_id AS row_id FROM calls JOIN attempts USING (call_id)
WHERE calls.counted -> 'rows' @> '[{{"{measure}": 1}}]' AND {_DAY} < $7
  AND ({_DAY}, call_id) > (CASE WHEN $4::text IS NULL THEN $6
       ELSE (SELECT {_DAY} FROM calls WHERE call_id = $4) END, coalesce($4, ''))
  AND sent_at >= $1 AND sent_at < $2 AND {_FIRST_ATTEMPT}
ORDER BY {_DAY}, call_id LIMIT $5
"""


_ATTEMPT_ROWS = _attempt_rows("true")
_PERSON_ROWS = f"""
SELECT {_OF_PERSON}, attempt_id AS row_id FROM attempts JOIN calls USING (call_id)
WHERE {_AFTER} AND sent_at < $2 AND {_FIRST_ATTEMPT}
ORDER BY sent_at, attempt_id LIMIT $5
"""
# A number that is small in most installations has an index of exactly its rows (migration 0016). PostgreSQL uses it
# where the statement has the condition of the index.
_RARE_ATTEMPT_ROWS = {
    name: _attempt_rows(f"counted ? '{name}'")
    for name in ("unknown", "transferred", "callback", "message_left", "sentiment_negative")
}
#: Most failures have one of these reasons. The index by reason is without them, because a page of them is soon full.
_COMMON_REASONS = frozenset({"no_answer", "busy"})
_RARE_PERSON_ROWS = {name: _rare_person_rows(name) for name in ("persons_goal", "persons_opted_out")}
_DENIED_ROWS = """
SELECT call_id, contact_id, call_id AS row_id, NULL AS attempt_id, NULL::integer AS number,
       NULL::timestamptz AS sent_at, status AS outcome, reason, NULL::float AS cost_cents, NULL::bigint AS duration_ms
FROM calls WHERE call_id >= $6 AND call_id <= $7 AND accepted_at >= $1 AND accepted_at < $2
  AND counted -> 'rows' @> '[{"denied": 1}]' AND counted -> 'rows' @> jsonb_build_array($3::jsonb)
  AND ($4::text IS NULL OR call_id > $4)
ORDER BY call_id LIMIT $5
"""


class PostgresAnalytics:
    """Implements `flows.analytics.Statistics`. All methods raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sums(self, cuts: Sequence[Cut]) -> list[list[dict[str, Any]]]:
        statements = [sums_of(asked) for asked in cuts]
        async with connection_of(self._pool) as connection:
            if len(statements) == 1:
                # A statement has a snapshot of its own.
                return [await _fetched(connection, *statements[0])]
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return [await _fetched(connection, statement, values) for statement, values in statements]

    async def rows(
        self, asked: Filter, measure: str, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        statement, values = rows_of(asked, measure)
        values[3:3] = [cursor, limit + 1]
        async with reading_for_values(self._pool) as connection:
            found = [dict(row) for row in await connection.fetch(statement, *values)]
        items = found[:limit]
        next_cursor = items[-1]["row_id"] if len(found) > limit else None
        return [_item(row) for row in items], next_cursor


def rows_of(asked: Filter, measure: str) -> tuple[str, list[Any]]:
    """Choose the statement of the rows of a measure. Returns its values without $4 and $5, the cursor and the limit."""
    since, until, wanted = asked.since, asked.until, asked.keys | {measure: 1}
    if measure == "denied":
        around = timedelta(hours=1)
        return _DENIED_ROWS, [since, until, wanted, id_of(since - around), id_of(until + around)]
    around = timedelta(days=2)
    if measure in _RARE_PERSON_ROWS:
        days = [(since - around).date().isoformat(), (until + around).date().isoformat()]
        return _RARE_PERSON_ROWS[measure], [since, until, wanted, *days]
    if is_of_persons(measure):
        return _PERSON_ROWS, [since, until, wanted]
    months: list[str | None] = [None, None]
    if {"weekday", "local_hour"} & wanted.keys():
        # Those cells are of months by the contact's own clock.
        months = [moment.astimezone(asked.zone).date().isoformat() for moment in (since, until)]
        since, until = since - around, until + around
    rare_reason = None if asked.reason in _COMMON_REASONS else asked.reason
    return _RARE_ATTEMPT_ROWS.get(measure, _ATTEMPT_ROWS), [since, until, wanted, *months, rare_reason]


async def _fetched(connection: Connection, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(statement, *values)]


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item_of(row).items() if name != "row_id"}


def sums_of(asked: Cut) -> tuple[str, list[Any]]:
    """Build the statement that adds rollup and deltas of one cut, and its parameters."""
    grain = _GRAINS[asked.grain]
    time = _TIMES.get(asked.grain, "day")
    conditions = [f"{time} >= $1", f"{time} < $2", *(f"{key} = ${n}" for n, key in enumerate(asked.where, 3))]
    values = [asked.since, asked.until, *asked.where.values()]
    groups = [f"{key} AS {key}" for key in asked.by]
    if asked.step is not None:
        moment = time
        if asked.zone is not None:
            values.append(asked.zone)
            moment = f"({time} AT TIME ZONE ${len(values)})"
        groups.append(
            moment + " AS step" if asked.step == "hour" else f"date_trunc('{asked.step}', {moment})::date AS step"
        )
    where = " AND ".join(conditions)
    # Each part is added up by itself. Sums over both parts would read every cell through one more node of the plan.
    inner = ", ".join([*groups, *(f"sum({name})::bigint AS {name}" for name in asked.measures)])
    names = [*asked.by, *(["step"] if asked.step is not None else [])]
    outer = ", ".join([*names, *(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in asked.measures)])
    by = f" GROUP BY {', '.join(str(n) for n in range(1, len(groups) + 1))}" if groups else ""
    unfolded = grain.rows("rollup_deltas", {*asked.where, *asked.by, time}, asked.measures)
    parts = (f"SELECT {inner} FROM {source} WHERE {where}{by}" for source in (grain.table, f"({unfolded}) AS unfolded"))
    return f"SELECT {outer} FROM ({' UNION ALL '.join(parts)}) AS both_parts{by}", values
