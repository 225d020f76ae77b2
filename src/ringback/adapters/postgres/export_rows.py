"""Rows of exports, page by page in a stable order: a page is a short statement, so that an export delays nothing."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

from ringback.adapters.clock import id_of
from ringback.adapters.postgres.pool import Pool, reading_for_values
from ringback.domain.analytics_query import Filter
from ringback.domain.exported_page import Page

PAGE = 500
#: A statement looks at no more, so that it is short also where few rows or none are chosen.
SPAN = timedelta(hours=12)
IDS_TOGETHER = 100_000
#: More than two machines' clocks differ while calls are accepted.
_IDS_DIFFER = timedelta(hours=1)

_ATTEMPTS = f"""
SELECT attempt_id, call_id, contact_id, phone, counted ->> 'from_number' AS from_number,
       counted ->> 'agent' AS agent_id,
       agent_version, number, provider_call_id, counted ->> 'outcome' AS outcome, counted ->> 'reason' AS reason, dial,
       party, "end", disconnection_reason, sent_at, placed_at, started_at, ended_at, duration_ms, cost_cents, sentiment,
       successful, coalesce((counted ->> 'conversation')::integer, 0) = 1 AS conversation,
       coalesce((counted ->> 'goal_met')::integer, 0) = 1 AS goal_met,
       coalesce((counted ->> 'opt_out')::integer, 0) = 1 AS opt_out
FROM attempts WHERE verdict_type IS NOT NULL AND (sent_at, attempt_id) > ($1, $2) AND sent_at < $3 AND counted @> $4
ORDER BY sent_at, attempt_id LIMIT {PAGE}
"""
_CALLS = f"""
SELECT call_id, contact_id, phone, from_number, agent_id, status, reason, final, accepted_at, expires_at, attempts_made,
       reschedules
FROM calls WHERE call_id > $4 AND call_id <= $5 AND accepted_at >= $1 AND accepted_at < $2
  AND jsonb_build_object('agent', agent_id, 'from_number', from_number, 'outcome', status, 'campaign', '') @> $3
ORDER BY call_id LIMIT {PAGE}
"""
_EVENT_IDS = """
SELECT min(id) - 1 AS before, max(id) AS last FROM outbox
WHERE kind = 'abt_event' AND created_at >= $1 AND created_at < $2
"""
# Without keys, PostgreSQL leaves the join out. A custom event may have no call.
_EVENTS = f"""
SELECT message_id AS event_id, payload ->> 'type' AS type, outbox.call_id, created_at, delivered_at,
       payload -> 'data' AS data, id
FROM outbox LEFT JOIN calls ON calls.call_id = outbox.call_id
WHERE kind = 'abt_event' AND created_at >= $1 AND created_at < $2 AND id > $3 AND id <= $4
  AND ($6::text IS NULL OR outbox.call_id = $6)
  AND ($5::jsonb = '{{}}' OR jsonb_build_object(
      'call_id', outbox.call_id, 'contact_id', payload #>> '{{data,contact_id}}', 'event_type', payload ->> 'type',
      'agent', agent_id, 'from_number', from_number, 'campaign', '') @> $5)
ORDER BY id LIMIT {PAGE}
"""


def _spans(asked: Filter) -> Iterator[tuple[datetime, datetime]]:
    since = asked.since
    while since < asked.until:
        until = min(since + SPAN, asked.until)
        yield since, until
        since = until


class PostgresExportRows:
    """Implements `flows.exports.ExportRows`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def attempts(self, asked: Filter) -> AsyncIterator[Page]:
        for since, until in _spans(asked):
            # Every id is greater than the empty one. With a condition for the first page alone, the index gives no
            # start.
            last: tuple[Any, Any] = (since, "")
            while rows := await self._page(_ATTEMPTS, *last, until, asked.keys):
                last = (rows[-1]["sent_at"], rows[-1]["attempt_id"])
                yield Page(tuple(rows[0].keys()), rows)

    async def calls(self, asked: Filter) -> AsyncIterator[Page]:
        for since, until in _spans(asked):
            last, last_id = id_of(since - _IDS_DIFFER), id_of(until + _IDS_DIFFER)
            while rows := await self._page(_CALLS, since, until, asked.keys, last, last_id):
                last = rows[-1]["call_id"]
                yield Page(tuple(rows[0].keys()), rows)

    async def events(self, asked: Filter) -> AsyncIterator[Page]:
        (bounds,) = await self._page(_EVENT_IDS, asked.since, asked.until)
        if bounds["last"] is None:
            return
        for start in range(bounds["before"], bounds["last"], IDS_TOGETHER):
            before, last = start, min(start + IDS_TOGETHER, bounds["last"])
            while rows := await self._page(_EVENTS, asked.since, asked.until, before, last, asked.keys, asked.call_id):
                before = rows[-1]["id"]
                yield Page(tuple(rows[0].keys())[:-1], [row[:-1] for row in rows])

    async def _page(self, statement: str, *values: object) -> list[Any]:
        """Fetch records, which are rows of a `Page` as they are."""
        async with reading_for_values(self._pool) as connection:
            return list(await connection.fetch(statement, *values))
