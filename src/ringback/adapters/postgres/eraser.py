"""Erasing a person, table by table."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ringback.adapters.postgres import statements as sql
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.domain.erasure import Erased, StillUnderWay

_CONTACTS = """
SELECT contact_id FROM contacts WHERE phone = $1 UNION SELECT contact_id FROM calls WHERE phone = $1
UNION SELECT contact_id FROM inbound_calls WHERE phone = $1 ORDER BY 1
"""
_PHONES = """
SELECT phone FROM contacts WHERE contact_id = ANY ($2::text[])
UNION SELECT phone FROM calls WHERE contact_id = ANY ($2::text[]) UNION SELECT $1 ORDER BY 1
"""
_UNFINISHED = """
SELECT call_id FROM calls WHERE NOT final AND (phone = $1 OR contact_id = ANY ($2::text[])) ORDER BY call_id
"""
_CALLS = "SELECT call_id FROM calls WHERE phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])"
_UNDER_WAY = """
SELECT (SELECT count(*) FROM attempts WHERE call_id = ANY ($1::text[])
          AND (next_check_at IS NOT NULL OR holds_person OR state IN ('dialing', 'unknown', 'placed', 'ongoing')))
     + (SELECT count(*) FROM inbound_calls WHERE released_at IS NULL
          AND (phone = ANY ($2::text[]) OR contact_id = ANY ($3::text[])))
"""
_PROVIDER_CALLS = """
SELECT provider_call_id FROM attempts WHERE call_id = ANY ($1::text[]) AND provider_call_id IS NOT NULL
UNION SELECT provider_call_id FROM inbound_calls
WHERE (phone = ANY ($2::text[]) OR contact_id = ANY ($3::text[])) AND provider_call_id IS NOT NULL ORDER BY 1
"""
_STAND_IN = "INSERT INTO contacts (contact_id, phone, updated_at) VALUES ($1, 'erased', $2)"

# What is promised to Engage still goes there, told apart by Engage's own id and with nothing that a person said.
_STRIP_PENDING_EVENTS = """
UPDATE outbox SET payload = jsonb_set(payload::jsonb, '{data}', (payload::jsonb -> 'data')
        - CASE payload ->> 'type' WHEN 'voice_ai_call_rescheduled' THEN ARRAY['analysis', 'reason']
                                  ELSE ARRAY['analysis'] END
        || '{"metadata": {}}'::jsonb)::json
WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL AND call_id = ANY ($1::text[])
"""

#: One set of values for all statements, so that each may use what it needs of them.
_ASKED = """
WITH asked AS (SELECT $1::text[] AS call_ids, $2::text[] AS phones, $3::text[] AS contact_ids,
                      $4::text[] AS provider_call_ids, $5::text AS stand_in)
"""
_ERASE = {
    "suppressions": """
        UPDATE suppressions SET phone_hash = coalesce(phone_hash, person_hash(phone)), phone = NULL,
            contact_hash = coalesce(contact_hash, person_hash(contact_id)), contact_id = NULL, reason = 'erased'
        FROM asked WHERE lifted_at IS NULL AND (phone = ANY (asked.phones) OR contact_id = ANY (asked.contact_ids))""",
    "lifted_suppressions": """
        DELETE FROM suppressions USING asked
        WHERE lifted_at IS NOT NULL AND (phone = ANY (asked.phones) OR contact_id = ANY (asked.contact_ids))""",
    # An agent's own events are whatever it chose to tell, so they do not leave any more; a call's seven do.
    "outbox": """
        DELETE FROM outbox USING asked
        WHERE (call_id = ANY (asked.call_ids)
               OR order_key IN (SELECT 'contact:' || contact_id FROM unnest(asked.contact_ids) AS contact_id))
          AND (kind <> 'abt_event' OR payload ->> 'type' NOT LIKE 'voice\\_ai\\_call\\_%'
               OR delivered_at IS NOT NULL OR dead_at IS NOT NULL)""",
    "queue_messages": """
        DELETE FROM queue_messages USING asked WHERE EXISTS (
            SELECT FROM unnest(asked.phones || asked.provider_call_ids) AS mark WHERE strpos(body, mark) > 0)""",
    "provider_events": """
        DELETE FROM provider_events USING asked
        WHERE call_id = ANY (asked.call_ids) OR provider_call_id = ANY (asked.provider_call_ids)""",
    "action_results": """
        DELETE FROM action_results USING asked
        WHERE call_id = ANY (asked.call_ids) OR contact_id = ANY (asked.contact_ids)""",
    "notes": "DELETE FROM notes USING asked WHERE contact_id = ANY (asked.contact_ids)",
    "field_writes": "DELETE FROM field_writes USING asked WHERE contact_id = ANY (asked.contact_ids)",
    "inbound_calls": """
        DELETE FROM inbound_calls USING asked
        WHERE phone = ANY (asked.phones) OR contact_id = ANY (asked.contact_ids)""",
    "dispositions": """
        UPDATE dispositions SET contact_id = asked.stand_in, note = NULL
        FROM asked WHERE call_id = ANY (asked.call_ids) OR contact_id = ANY (asked.contact_ids)""",
    "tasks": "UPDATE tasks SET reason = NULL FROM asked WHERE call_id = ANY (asked.call_ids)",
    "attempts": """
        UPDATE attempts SET contact_id = asked.stand_in, phone = 'erased', request = '{}', provider_call_id = NULL,
            recording_url = NULL, transcript = NULL, summary = NULL, sentiment = NULL, analysis = NULL, business = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    # Kept without the person: what an idempotency key was answered, how many calls there were and what they cost.
    "calls": """
        UPDATE calls SET contact_id = asked.stand_in, phone = 'erased', variables = '{}', metadata = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    "contacts": "DELETE FROM contacts USING asked WHERE contact_id = ANY (asked.contact_ids)",
}
_NOTE = """
INSERT INTO gate_decisions (call_id, at, kind, detail)
SELECT call_id, $2, 'erased', jsonb_build_object('reason', $3::text) FROM unnest($1::text[]) AS call_id
"""


@dataclass(frozen=True, slots=True)
class _Person:
    phones: Sequence[str]
    contact_ids: Sequence[str]
    call_ids: Sequence[str]


class PostgresEraser:
    """Implements `flows.erasure.Eraser`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unfinished_calls(self, phone: str) -> list[str]:
        async with connection_of(self._pool) as connection:
            contact_ids = await _column(connection, _CONTACTS, phone)
            return await _column(connection, _UNFINISHED, phone, contact_ids)

    async def erase(self, phone: str, reason: str, now: datetime) -> Erased | None:
        async with connection_of(self._pool) as connection, connection.transaction():
            person = await _lock_and_find(connection, phone)
            under_way = await connection.fetchval(_UNDER_WAY, person.call_ids, person.phones, person.contact_ids)
            if under_way:
                raise StillUnderWay(under_way)
            if await connection.fetch(_UNFINISHED, phone, person.contact_ids):
                return None
            return await _erase(connection, person, reason, now)


async def _lock_and_find(connection: Connection, phone: str) -> _Person:
    """Phones sorted, then contacts; found once more behind the locks, so that nothing that came meanwhile is missed."""
    contact_ids = await _column(connection, _CONTACTS, phone)
    for known in await _column(connection, _PHONES, phone, contact_ids):
        await connection.execute(sql.LOCK_PHONE, known)
    for contact_id in contact_ids:
        await connection.execute(sql.LOCK_CONTACT, contact_id)
    contact_ids = await _column(connection, _CONTACTS, phone)
    phones = await _column(connection, _PHONES, phone, contact_ids)
    return _Person(phones, contact_ids, await _column(connection, _CALLS, [phone], contact_ids))


async def _erase(connection: Connection, person: _Person, reason: str, now: datetime) -> Erased:
    asked = (person.call_ids, person.phones, person.contact_ids)
    provider_call_ids = await _column(connection, _PROVIDER_CALLS, *asked)
    stand_in = f"erased-{uuid.uuid4().hex[:16]}"
    if person.contact_ids:
        await connection.execute(_STAND_IN, stand_in, now)
    await connection.execute(_STRIP_PENDING_EVENTS, person.call_ids)
    rows = {}
    for kind, statement in _ERASE.items():
        status = await connection.execute(_ASKED + statement, *asked, provider_call_ids, stand_in)
        rows[kind] = int(status.rpartition(" ")[2])
    await connection.execute(_NOTE, person.call_ids, now, reason)
    return Erased(rows, tuple(provider_call_ids))


async def _column(connection: Connection, statement: str, *values: object) -> list[str]:
    return [row[0] for row in await connection.fetch(statement, *values)]
