"""Reads of what actions wrote about a person, with the delivery of each write to the CRM."""

from collections.abc import Sequence
from typing import Any

from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.rows import item_of
from ringback.domain.contact import WrittenKind

Item = dict[str, Any]

# A message of the outbox has the id of what it forwards. Retention deletes it before the row that it is about.
_DELIVERY = "o.message_id, o.created_at AS enqueued_at, o.due_at, o.tries, o.delivered_at, o.dead_at, o.last_error"
_OF_PERSON = "contact_id = ANY ($1::text[]) AND ($2::text IS NULL OR call_id = $2) AND ($3::text IS NULL OR {} < $3)"
# $1: contacts, $2: a call or null, $3: the id after which the page begins or null. Ids are UUIDv7: the order of time.
PAGES = {
    WrittenKind.DISPOSITIONS: f"""
        SELECT disposition_id AS id, at, call_id, CASE WHEN attempt_id IS NULL THEN 'api' ELSE 'agent' END AS source,
               code, note
        FROM dispositions WHERE {_OF_PERSON.format("disposition_id")} ORDER BY disposition_id DESC LIMIT $4""",
    WrittenKind.NOTES: f"""
        SELECT n.id, n.at, n.call_id, n.source, n.note, {_DELIVERY} FROM (
            SELECT note_id AS id, at, call_id, author AS source, note
            FROM notes WHERE {_OF_PERSON.format("note_id")} ORDER BY note_id DESC LIMIT $4) AS n
        LEFT JOIN outbox o ON o.message_id = n.id ORDER BY n.id DESC""",
    # A row for each field. One write of several fields is one message, so it is one item.
    WrittenKind.FIELDS: f"""
        SELECT w.id, w.at, w.call_id, w.source, w.fields, {_DELIVERY} FROM (
            SELECT write_id AS id, min(at) AS at, min(call_id) AS call_id, min(source) AS source,
                   jsonb_agg(jsonb_build_object('field', field, 'old', old_value, 'new', new_value) ORDER BY field)
                   AS fields
            FROM field_writes WHERE {_OF_PERSON.format("write_id")}
            GROUP BY write_id ORDER BY write_id DESC LIMIT $4) AS w
        LEFT JOIN outbox o ON o.message_id = w.id ORDER BY w.id DESC""",
}
_COUNTED = "contact_id = ANY ($1::text[]) AND ($2::text IS NULL OR call_id = $2) LIMIT $3"
COUNTS = {
    WrittenKind.DISPOSITIONS: f"SELECT count(*) FROM (SELECT FROM dispositions WHERE {_COUNTED}) AS one",
    WrittenKind.NOTES: f"SELECT count(*) FROM (SELECT FROM notes WHERE {_COUNTED}) AS one",
    WrittenKind.FIELDS: f"SELECT count(*) FROM (SELECT DISTINCT write_id FROM field_writes WHERE {_COUNTED}) AS one",
}


class PostgresWritten:
    """Implements `web.console.site.Written`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, kind: WrittenKind, contact_ids: Sequence[str], call_id: str | None, *, cursor: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        async with connection_of(self._pool) as connection:
            return await _page(connection, kind, contact_ids, call_id, cursor, limit)

    async def newest(
        self, contact_ids: Sequence[str], call_id: str | None, *, limit: int, most: int
    ) -> dict[WrittenKind, tuple[list[Item], int]]:
        found = {}
        async with connection_of(self._pool) as connection:
            for kind in WrittenKind:
                items, following = await _page(connection, kind, contact_ids, call_id, None, limit)
                count = len(items)
                if following is not None:
                    count = await connection.fetchval(COUNTS[kind], contact_ids, call_id, most)
                found[kind] = items, count
        return found


async def _page(
    connection: Connection,
    kind: WrittenKind,
    contact_ids: Sequence[str],
    call_id: str | None,
    cursor: str | None,
    limit: int,
) -> tuple[list[Item], str | None]:
    rows = await connection.fetch(PAGES[kind], contact_ids, call_id, cursor, limit + 1)
    items = [item_of(row) for row in rows[:limit]]
    return items, items[-1]["id"] if len(rows) > limit else None
