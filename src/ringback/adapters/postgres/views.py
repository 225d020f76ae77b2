"""What systems and people read: calls, their stories, suppressions. Reads only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.contact_snapshot import read_contact_snapshot
from ringback.adapters.postgres.event_feed import read_events
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.rows import literals
from ringback.adapters.postgres.timeline import read_timeline
from ringback.domain.abt_event import iso
from ringback.domain.call import OPEN_TASK
from ringback.domain.contact_snapshot import ContactSnapshot

Item = dict[str, Any]

# What a hold waits for may be later than the hold's own end.
_DUE_AT = "greatest({0}.due_at, {0}.due_before_hold)"
# A scheduled call whose task has been released is on its way to the processor.
_STATUS = "CASE WHEN c.status = 'scheduled' AND t.status = 'dispatched' THEN 'queued' ELSE c.status END"
_CALLS = f"""
SELECT c.call_id, c.contact_id, {_STATUS} AS status, c.reason, c.final, {_DUE_AT.format("t")} AS next_eligible_at
FROM calls c LEFT JOIN tasks t ON t.call_id = c.call_id AND t.status IN {literals(OPEN_TASK)}
"""
_ATTEMPTS = """
SELECT call_id, attempt_id, number, state, provider_call_id, dial, party, "end", business, disconnection_reason,
       placed_at, started_at, ended_at, duration_ms, cost_cents, recording_url, transcript, summary, sentiment, analysis
FROM attempts WHERE call_id = ANY ($1::text[]) ORDER BY number
"""
_TASKS = f"""
SELECT call_id, task_id, kind, {_DUE_AT.format("tasks")} AS due_at, local_time, time_zone, status
FROM tasks WHERE call_id = ANY ($1::text[]) ORDER BY created_at, task_id
"""
_SUPPRESSIONS = """
SELECT suppression_id, phone, contact_id, reason, source, created_at FROM suppressions WHERE lifted_at IS NULL
"""


class PostgresViews:
    """All methods raise StoreUnavailable. Times are RFC 3339 texts in UTC; a page is (items, next cursor or None)."""

    def __init__(self, pool: Pool, hashing: Hashing | None = None) -> None:
        self._pool = pool
        self._hashing = hashing or Hashing()

    async def call(self, call_id: str) -> Item | None:
        async with connection_of(self._pool) as connection:
            found = await _read_calls(connection, _CALLS + "WHERE c.call_id = $1", [call_id])
        return found[0] if found else None

    async def calls(
        self, *, contact_id: str | None, status: str | None, cursor: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """The newest first."""
        # Only the conditions that were asked for are written: one plan for all of them could not use an index. Ids are
        # UUIDv7, so their order is the order of time, and the last one of a page is the cursor.
        asked = {"c.contact_id = ": contact_id, f"{_STATUS} = ": status, "c.call_id < ": cursor}
        conditions, values = _conditions(asked)
        statement = f"{_CALLS} WHERE true {conditions} ORDER BY c.call_id DESC LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            found = await _read_calls(connection, statement, values)
        return _page(found, "call_id", limit)

    async def timeline(self, call_id: str) -> list[Item] | None:
        """None: no such call."""
        async with connection_of(self._pool) as connection:
            if not await connection.fetchval("SELECT true FROM calls WHERE call_id = $1", call_id):
                return None
            return await read_timeline(connection, call_id)

    async def contact_snapshot(self, phone: str | None, contact_id: str | None, now: datetime) -> ContactSnapshot:
        async with connection_of(self._pool) as connection:
            return await read_contact_snapshot(connection, self._hashing, phone, contact_id, now)

    async def events(self, *, after: str | None, limit: int) -> tuple[list[Item], str | None]:
        async with connection_of(self._pool) as connection:
            return await read_events(connection, after, limit)

    async def suppressions(
        self, *, phone: str | None, contact_id: str | None, cursor: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Those in force that match the phone or the contact, or all; the newest first."""
        matches, values = _conditions({"phone = ": phone, "contact_id = ": contact_id}, joined_by="OR")
        older, more = _conditions({"suppression_id < ": cursor}, first=len(values) + 1)
        matches = f"AND ({matches.removeprefix('OR ')})" if matches else ""
        statement = f"{_SUPPRESSIONS} {matches} {older} ORDER BY suppression_id DESC LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(statement, *values, *more)
        return _page([_item(row) for row in rows], "suppression_id", limit)


def _conditions(asked: Mapping[str, str | None], *, joined_by: str = "AND", first: int = 1) -> tuple[str, list[str]]:
    """SQL for those that have a value, and the values; parameters are numbered from `first`."""
    values = [value for value in asked.values() if value is not None]
    texts = [text for text, value in asked.items() if value is not None]
    return " ".join(f"{joined_by} {text}${number}" for number, text in enumerate(texts, first)), values


async def _read_calls(connection: Connection, statement: str, values: Sequence[str]) -> list[Item]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        calls = [_item(row) for row in await connection.fetch(statement, *values)]
        ids = [call["call_id"] for call in calls]
        attempts = _by_call(await connection.fetch(_ATTEMPTS, ids))
        tasks = _by_call(await connection.fetch(_TASKS, ids))
    for call in calls:
        call["attempts"] = attempts[call["call_id"]]
        call["tasks"] = tasks[call["call_id"]]
    return calls


def _by_call(rows: Sequence[Any]) -> dict[str, list[Item]]:
    grouped: dict[str, list[Item]] = defaultdict(list)
    for row in rows:
        item = _item(row)
        grouped[item.pop("call_id")].append(item)
    return grouped


def _item(row: Any) -> Item:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _page(found: list[Item], key: str, limit: int) -> tuple[list[Item], str | None]:
    items = found[:limit]
    return items, items[-1][key] if len(found) > limit else None
