"""The SQL of `contacts`, `field_writes` and `notes`."""

from datetime import datetime

from ringback.adapters.postgres.calls import NEXT_OR_LAST_CALL
from ringback.adapters.postgres.rows import contact_from, named_columns
from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.contact import Contact, FieldsWrite, Note

CONTACT = f"SELECT {named_columns(Contact)} FROM contacts WHERE contact_id = $1"
# The contact that has the number now, the last called first. Else the contact of the last call to the number.
CONTACT_BY_PHONE = """
SELECT contact_id FROM (
    (SELECT contact_id, 1 AS rank FROM contacts WHERE phone = $1
     ORDER BY (SELECT max(call_id) FROM calls WHERE calls.contact_id = contacts.contact_id AND calls.phone = $1)
              DESC NULLS LAST, updated_at DESC, contact_id LIMIT 1)
    UNION ALL
    (SELECT contact_id, 2 FROM calls WHERE phone = $1 ORDER BY call_id DESC LIMIT 1)) AS found
ORDER BY rank LIMIT 1
"""
CONTACT_AND_CALL_OF_CALLER = f"""
SELECT caller.contact_id, ({NEXT_OR_LAST_CALL.replace("$1", "caller.contact_id")}) AS call_id
FROM ({CONTACT_BY_PHONE}) AS caller
"""
#: Record the old values too, read from the row that is changed.
WRITE_FIELDS = """
WITH old AS (SELECT fields FROM contacts WHERE contact_id = $2 FOR UPDATE),
written AS (
    UPDATE contacts SET fields = contacts.fields || $6::jsonb, updated_at = $7 FROM old WHERE contact_id = $2)
INSERT INTO field_writes (write_id, contact_id, call_id, attempt_id, source, field, old_value, new_value, at)
SELECT $1, $2, $3, $4, $5, new.key, old.fields -> new.key, new.value, $7 FROM old, jsonb_each($6::jsonb) AS new
"""
ADD_NOTES = """
INSERT INTO notes (note_id, contact_id, call_id, attempt_id, author, note, at)
SELECT note_id, contact_id, call_id, attempt_id, author, note, at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
     AS row (note_id, contact_id, call_id, attempt_id, author, note, at)
"""
SET_TIME_ZONES = """
UPDATE contacts SET time_zone = given.time_zone, time_zone_source = given.source, updated_at = given.at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS given (contact_id, time_zone, source, at)
WHERE contacts.contact_id = given.contact_id
"""


class PostgresContacts:
    """Implements `storage.Contacts`."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection

    async def get(self, contact_id: str) -> Contact | None:
        record = await self._connection.read(CONTACT, contact_id)
        return contact_from(record) if record else None

    async def id_by_phone(self, phone: str) -> str | None:
        found: str | None = await self._connection.fetchval(CONTACT_BY_PHONE, phone)
        return found

    async def of_caller(self, phone: str) -> tuple[str, str | None] | None:
        record = await self._connection.read(CONTACT_AND_CALL_OF_CALLER, phone)
        return (record["contact_id"], record["call_id"]) if record else None

    async def write_fields(self, write: FieldsWrite) -> None:
        origin = write.origin
        await self._connection.execute(
            WRITE_FIELDS,
            write.write_id,
            origin.contact_id,
            origin.call_id,
            origin.attempt_id,
            origin.source,
            dict(write.values),
            write.at,
        )

    async def add_note(self, note: Note) -> None:
        origin = note.origin
        row = note.note_id, origin.contact_id, origin.call_id, origin.attempt_id, origin.source, note.text, note.at
        await self._connection.keep(Write(Statement(ADD_NOTES), [row]))

    async def set_time_zone(self, contact_id: str, time_zone: str, source: str, now: datetime) -> None:
        await self._connection.keep(Write(Statement(SET_TIME_ZONES), [(contact_id, time_zone, source, now)]))
