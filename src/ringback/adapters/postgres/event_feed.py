"""Every ABT event in an order that no late commit can disturb, for an Engage that has to catch up."""

from typing import Any

from ringback.adapters.postgres.pool import Connection

# An event is shown once every transaction that began to write before its own is over: whatever commits later has a
# later place. A call's transactions follow one another under its lock, so its events keep their sequence. The price:
# a transaction that stays open anywhere in the cluster holds the feed up, though never the deliveries.
_READ = """
SELECT xact::text || '-' || id AS cursor, payload AS event FROM outbox
WHERE kind = 'abt_event' AND xact < pg_snapshot_xmin(pg_current_snapshot())
  AND (xact, id) > ($1::text::xid8, $2::bigint)
ORDER BY xact, id LIMIT $3
"""
_BEGINNING = "0-0"


async def read_events(connection: Connection, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """`after`: a cursor, which is two numbers with a hyphen between them."""
    xact, _, row_id = (after or _BEGINNING).partition("-")
    found = [dict(row) for row in await connection.fetch(_READ, xact, int(row_id), limit + 1)]
    items = found[:limit]
    return items, items[-1]["cursor"] if len(found) > limit else None
