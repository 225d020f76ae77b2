"""The rows of the outbox that go to Engage, as an operator sees them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.conditions import conditions_of
from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.rows import item_of
from ringback.domain.audit import AuditEntry
from ringback.domain.deliveries import ENGAGE_KINDS, DeliveryFilter, DeliveryHealth, DeliveryState

_KINDS = "kind IN (" + ", ".join(f"'{kind}'" for kind in ENGAGE_KINDS) + ")"
# The conditions of the partial indexes, so that a list of open or dead rows reads no other.
_OPEN = "delivered_at IS NULL AND dead_at IS NULL"
_STATES = {
    DeliveryState.WAITING: _OPEN,
    DeliveryState.FAILED: "dead_at IS NOT NULL",
    DeliveryState.DELIVERED: "delivered_at IS NOT NULL",
}
_COLUMNS = """
id, kind, message_id, call_id, created_at, due_at, tries, delivered_at, dead_at, last_error,
CASE kind WHEN 'abt_event' THEN payload ->> 'type' ELSE kind END AS what,
(payload -> 'data' ->> 'sequence')::integer AS sequence
"""
_HEALTH = f"""
SELECT (SELECT count(*) FROM (SELECT FROM outbox WHERE {_KINDS} AND {_OPEN} LIMIT $2) AS one) AS waiting,
       (SELECT count(*) FROM (
           SELECT FROM outbox WHERE {_KINDS} AND {_OPEN} AND last_error IS NOT NULL LIMIT $2) AS one) AS failing,
       (SELECT count(*) FROM (SELECT FROM outbox WHERE {_KINDS} AND dead_at IS NOT NULL LIMIT $2) AS one) AS failed,
       (SELECT created_at FROM outbox WHERE {_KINDS} AND {_OPEN} ORDER BY id LIMIT 1) AS oldest_at,
       recent.delivered, recent.delivered_at
FROM (SELECT count(*) AS delivered, max(delivered_at) AS delivered_at FROM (
    SELECT delivered_at FROM outbox WHERE {_KINDS} AND delivered_at >= $1 LIMIT $2) AS one) AS recent
"""
_ANSWERS = f"""
SELECT last_error, count(*) FILTER (WHERE dead_at IS NULL) AS waiting, count(dead_at) AS failed FROM (
    (SELECT last_error, dead_at FROM outbox WHERE {_KINDS} AND {_OPEN} AND last_error IS NOT NULL LIMIT $1)
    UNION ALL
    (SELECT last_error, dead_at FROM outbox WHERE {_KINDS} AND dead_at IS NOT NULL LIMIT $1)
) AS answered WHERE last_error IS NOT NULL GROUP BY last_error ORDER BY count(*) DESC, last_error LIMIT 20
"""
# A relay that is sending a row has moved its due time alone, so a row in progress is left to it. An index begins at the
# time of the statement, and could not at that of each row.
_LATER = "ready_at = due_at AND ready_at > statement_timestamp()"
_AGAIN = "due_at = clock_timestamp(), ready_at = clock_timestamp()"
_ANEW = f"delivered_at = NULL, dead_at = NULL, tries = 0, refusals = 0, {_AGAIN}"


class PostgresDeliveries:
    """Implements `flows.operator.deliveries.DeliveryRows`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, wanted: DeliveryFilter, *, cursor: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        is_newest_first = wanted.state is DeliveryState.DELIVERED
        conditions, values = _asked(wanted)
        if cursor is not None:
            values.append(cursor)
            conditions += f" AND id {'<' if is_newest_first else '>'} ${len(values)}"
        order = "DESC" if is_newest_first else "ASC"
        statement = f"SELECT {_COLUMNS} FROM outbox WHERE {conditions} ORDER BY id {order} LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(statement, *values)
        return [item_of(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None

    async def count(self, wanted: DeliveryFilter, most: int) -> int:
        return await self._count(*_asked(wanted), most)

    async def count_replayable(self, wanted: DeliveryFilter, most: int) -> int:
        return await self._count(*_replayable(wanted), most)

    async def _count(self, conditions: str, values: list[Any], most: int) -> int:
        statement = f"SELECT count(*) FROM (SELECT FROM outbox WHERE {conditions} LIMIT {most:d}) AS counted"
        async with connection_of(self._pool) as connection:
            count: int = await connection.fetchval(statement, *values)
        return count

    async def health(self, since: datetime, most: int) -> DeliveryHealth:
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(_HEALTH, since, most)
            answers = await connection.fetch(_ANSWERS, most)
        assert row is not None, "an aggregate has a row"
        return DeliveryHealth(**row, answers=tuple(tuple(one) for one in answers))

    async def replay(self, wanted: DeliveryFilter, limit: int, entry: AuditEntry) -> int:
        conditions, values = _replayable(wanted)
        change = _AGAIN if wanted.state is DeliveryState.WAITING else _ANEW
        chosen = f"SELECT id FROM outbox WHERE {conditions} ORDER BY id LIMIT {limit:d} FOR UPDATE SKIP LOCKED"
        async with connection_of(self._pool) as connection, connection.transaction():
            status = await connection.execute(f"UPDATE outbox SET {change} WHERE id = ANY (ARRAY({chosen}))", *values)
            count = int(status.removeprefix("UPDATE "))
            if count:
                await append(connection, replace(entry, detail={**entry.detail, "messages": count}))
        return count


def _asked(wanted: DeliveryFilter) -> tuple[str, list[Any]]:
    """Build the conditions with a value, and their values."""
    asked = {
        "kind = ": wanted.kind,
        "payload ->> 'type' = ": wanted.event_type,
        "call_id = ": wanted.call_id,
        "message_id = ": wanted.message_id,
        "last_error = ": wanted.answer,
        "delivered_at >= ": wanted.since,
        "delivered_at < ": wanted.until,
    }
    conditions, values = conditions_of(asked)
    return f"{_KINDS} AND {_STATES[wanted.state]} {conditions}", values


def _replayable(wanted: DeliveryFilter) -> tuple[str, list[Any]]:
    conditions, values = _asked(wanted)
    return (f"{conditions} AND {_LATER}" if wanted.state is DeliveryState.WAITING else conditions), values
