"""Erase a person, in one transaction under their locks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import phonenumbers

from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.locks import LOCK_IN_ORDER, names_in_order
from ringback.adapters.postgres.person_hash import Hashing, PersonHashes, marks_of, renew_calls
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.rows import literals
from ringback.domain.attempt import POSSIBLY_RINGING
from ringback.domain.audit import AuditEntry
from ringback.domain.contact import Erased, StillInProgress
from ringback.domain.errors import Permanent, Retryable
from ringback.domain.operations import TRACES_KEPT
from ringback.messages import COMPRESSED_START, decode_webhook_received

#: One statement searches the bodies of this time span, because a statement may take seconds, not minutes.
SEARCHED_AT_ONCE = timedelta(days=1)
#: Bodies that arrived during the search are searched again under the locks. This margin allows for clock skew.
SEARCHED_AGAIN = timedelta(minutes=1)

CONTACTS = """
SELECT contact_id FROM contacts WHERE phone = $1 UNION SELECT contact_id FROM calls WHERE phone = $1
UNION SELECT contact_id FROM inbound_calls WHERE phone = $1 ORDER BY 1
"""
PHONES = """
SELECT phone FROM contacts WHERE contact_id = ANY ($2::text[])
UNION SELECT phone FROM calls WHERE contact_id = ANY ($2::text[]) UNION SELECT $1 ORDER BY 1
"""
LOCK_CONTACT_ROWS = "SELECT FROM contacts WHERE contact_id = ANY ($1::text[]) ORDER BY contact_id FOR UPDATE"
UNFINISHED = """
SELECT call_id FROM calls WHERE NOT final AND (phone = $1 OR contact_id = ANY ($2::text[])) ORDER BY call_id
"""
CALLS = "SELECT call_id FROM calls WHERE phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])"
#: What the operator is asked about before an erasure. The erasure finds the same people.
PREVIEW = """
WITH person AS (SELECT call_id, final FROM calls WHERE phone = $1 OR contact_id = ANY ($2::text[]))
SELECT cardinality($2::text[]) AS contacts, (SELECT count(*) FROM person) AS calls,
       (SELECT count(*) FROM person WHERE NOT final) AS unfinished_calls,
       (SELECT count(*) FROM attempts JOIN person USING (call_id)) AS attempts,
       (SELECT count(*) FROM notes WHERE contact_id = ANY ($2::text[])) AS notes,
       (SELECT count(*) FROM inbound_calls
        WHERE phone = ANY ($3::text[]) OR contact_id = ANY ($2::text[])) AS inbound_calls,
       (SELECT count(*) FROM suppressions WHERE lifted_at IS NULL
          AND (phone = ANY ($3::text[]) OR contact_id = ANY ($2::text[]))) AS suppressions
"""
# A call that is to be stopped at the provider may still be talking.
IN_PROGRESS = f"""
SELECT (SELECT count(*) FROM attempts WHERE call_id = ANY ($1::text[])
          AND (next_check_at IS NOT NULL OR holds_person OR state IN {literals(POSSIBLY_RINGING)}))
     + (SELECT count(*) FROM inbound_calls WHERE released_at IS NULL
          AND (phone = ANY ($2::text[]) OR contact_id = ANY ($3::text[])))
     + (SELECT count(*) FROM outbox WHERE kind = 'stop_call' AND call_id = ANY ($1::text[])
          AND delivered_at IS NULL AND dead_at IS NULL)
"""
PROVIDER_CALLS = """
SELECT provider_call_id FROM attempts WHERE call_id = ANY ($1::text[]) AND provider_call_id IS NOT NULL
UNION SELECT provider_call_id FROM inbound_calls
WHERE (phone = ANY ($2::text[]) OR contact_id = ANY ($3::text[])) AND provider_call_id IS NOT NULL
UNION SELECT provider_call_id FROM provider_events WHERE call_id = ANY ($1::text[])
UNION SELECT detail ->> 'stopped' FROM gate_decisions WHERE call_id = ANY ($1::text[]) AND detail ? 'stopped'
ORDER BY 1
"""
#: Our own ids, which late evidence may hold.
IDS = """
SELECT call_id FROM calls WHERE call_id = ANY ($1::text[])
UNION SELECT attempt_id FROM attempts WHERE call_id = ANY ($1::text[])
UNION SELECT inbound_id FROM inbound_calls WHERE phone = ANY ($2::text[]) OR contact_id = ANY ($3::text[])
"""
ADD_TOMBSTONES = """
INSERT INTO erased (mark, erased_at) SELECT mark, $2 FROM unnest($1::bytea[]) AS mark ON CONFLICT DO NOTHING
"""
KEYED_CALLS = """
SELECT call_id, idempotency_key, request_hash FROM calls
WHERE call_id = ANY ($1::text[]) AND idempotency_key IS NOT NULL
"""
# Bodies of other people's calls, of chats and of unknown callers. Only their content names their people.
MENTIONING = """
SELECT DISTINCT provider_call_id FROM provider_events
WHERE received_at BETWEEN $2 AND $3 AND fate <> 'applied' AND provider_call_id <> '' AND body ~ $1
  AND NOT EXISTS (SELECT FROM inbound_calls AS known WHERE known.provider_call_id = provider_events.provider_call_id)
"""
# A suppression may name a number or a contact that the person's other rows do not have.
NAMED_BY_STOPS = """
SELECT named FROM suppressions, unnest(ARRAY[phone, contact_id]) AS named
WHERE lifted_at IS NULL AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])) AND named IS NOT NULL
"""
STAND_IN = "INSERT INTO contacts (contact_id, phone, updated_at) VALUES ($1, 'erased', $2)"

# Pending events are still delivered to Engage. They keep Engage's own id and lose every word of the person.
STRIP_PENDING_EVENTS = """
UPDATE outbox SET erased = true, payload = jsonb_set(payload::jsonb, '{data}', (payload::jsonb -> 'data')
        - CASE payload ->> 'type' WHEN 'voice_ai_call_rescheduled' THEN ARRAY['analysis', 'provider_call_id', 'reason']
                                  ELSE ARRAY['analysis', 'provider_call_id'] END
        || '{"metadata": {}}'::jsonb)::json
WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL AND call_id = ANY ($1::text[])
"""

#: One set of parameters for all statements. Each uses the ones it needs.
ASKED = """
WITH asked AS (SELECT $1::text[] AS call_ids, $2::text[] AS phones, $3::text[] AS contact_ids,
                      $4::text[] AS provider_call_ids, $5::text AS stand_in,
                      $6::jsonb AS hashes, $7::text AS numbers)
"""
ERASE = {
    "suppressions": """
        UPDATE suppressions SET phone = NULL, contact_id = NULL, reason = 'erased',
            phone_hash = coalesce(phone_hash, asked.hashes ->> phone),
            contact_hash = coalesce(contact_hash, asked.hashes ->> contact_id)
        FROM asked WHERE lifted_at IS NULL AND (phone = ANY (asked.phones) OR contact_id = ANY (asked.contact_ids))""",
    "lifted_suppressions": """
        DELETE FROM suppressions USING asked
        WHERE lifted_at IS NOT NULL AND (phone = ANY (asked.phones) OR contact_id = ANY (asked.contact_ids))""",
    # An agent's own events may hold anything, so they are not delivered any more. A call's seven event types are.
    "outbox": """
        DELETE FROM outbox USING asked
        WHERE (call_id = ANY (asked.call_ids)
               OR order_key IN (SELECT 'contact:' || contact_id FROM unnest(asked.contact_ids) AS contact_id))
          AND (kind <> 'abt_event' OR payload ->> 'type' NOT LIKE 'voice\\_ai\\_call\\_%'
               OR delivered_at IS NOT NULL OR dead_at IS NOT NULL)""",
    "queue_messages": """
        DELETE FROM queue_messages USING asked WHERE body ~ asked.numbers OR EXISTS (
            SELECT FROM unnest(asked.provider_call_ids) AS mark WHERE strpos(body, mark) > 0)""",
    "provider_events": """
        DELETE FROM provider_events USING asked
        WHERE call_id = ANY (asked.call_ids) OR provider_call_id = ANY (asked.provider_call_ids)
           OR (provider_call_id = '' AND body ~ asked.numbers)""",
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
    # Their reasons are free text about the person.
    "gate_decisions": "DELETE FROM gate_decisions USING asked WHERE call_id = ANY (asked.call_ids)",
    "tasks": "UPDATE tasks SET reason = NULL FROM asked WHERE call_id = ANY (asked.call_ids)",
    "attempts": """
        UPDATE attempts SET contact_id = asked.stand_in, phone = 'erased', request = '{}', provider_call_id = NULL,
            recording_url = NULL, transcript = NULL, summary = NULL, sentiment = NULL, analysis = NULL,
            analysis_source = NULL, business = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    # Kept without the person: the response of each idempotency key, the number of calls and their cost.
    "calls": """
        UPDATE calls SET contact_id = asked.stand_in, phone = 'erased', variables = '{}', metadata = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    "contacts": "DELETE FROM contacts USING asked WHERE contact_id = ANY (asked.contact_ids)",
}
COMPRESSED = "SELECT id, body FROM queue_messages WHERE starts_with(body, $1)"
#: The criterion of `queue_messages` above, for a body that only the product can read.
IS_ABOUT = "SELECT $1 ~ $2 OR EXISTS (SELECT FROM unnest($3::text[]) AS mark WHERE strpos($1, mark) > 0)"
NOTE = """
INSERT INTO gate_decisions (call_id, at, kind, detail)
SELECT call_id, $2, 'erased', jsonb_build_object('reason', $3::text) FROM unnest($1::text[]) AS call_id
"""


@dataclass(frozen=True, slots=True)
class _Person:
    phones: Sequence[str]
    contact_ids: Sequence[str]
    call_ids: Sequence[str]


class PostgresEraser:
    """Implements `flows.operator.erasure.Eraser`."""

    def __init__(self, pool: Pool, hashing: Hashing) -> None:
        self._pool = pool
        self._hashing = hashing

    async def unfinished_calls(self, phone: str) -> list[str]:
        async with connection_of(self._pool) as connection:
            contact_ids = await _column(connection, CONTACTS, phone)
            return await _column(connection, UNFINISHED, phone, contact_ids)

    async def preview(self, phone: str) -> dict[str, int]:
        """Count the main rows of the person, without locks."""
        async with connection_of(self._pool) as connection:
            contact_ids = await _column(connection, CONTACTS, phone)
            phones = await _column(connection, PHONES, phone, contact_ids)
            row = await connection.fetchrow(PREVIEW, phone, contact_ids, phones)
        assert row is not None, "a select without FROM has one row"
        return dict(row)

    async def erase(self, phone: str, reason: str, entry: AuditEntry) -> Erased | None:
        now = entry.at
        try:
            async with connection_of(self._pool) as connection:
                phones = await _column(connection, PHONES, phone, await _column(connection, CONTACTS, phone))
                # Provider calls that belong to others by our rows, but whose bodies hold one of the person's numbers.
                pattern, mentioning = pattern_of(phones), set[str]()
                since = now - TRACES_KEPT - SEARCHED_AT_ONCE
                while since < now:
                    mentioning.update(await _column(connection, MENTIONING, pattern, since, since + SEARCHED_AT_ONCE))
                    since += SEARCHED_AT_ONCE
                async with connection.transaction():
                    erased = await self._erase(connection, phone, sorted(mentioning), reason, now)
                    if erased is not None:
                        await append(
                            connection,
                            replace(entry, detail={kind: count for kind, count in erased.rows.items() if count}),
                        )
                    return erased
        except asyncpg.IntegrityConstraintViolationError as error:
            # The error's text quotes the person.
            raise Retryable(type(error).__name__) from None

    async def _erase(
        self, connection: Connection, phone: str, mentioning: Sequence[str], reason: str, now: datetime
    ) -> Erased | None:
        person = await _lock_and_find(connection, phone)
        if person is None:
            return None
        asked = (person.call_ids, person.phones, person.contact_ids)
        in_progress = await connection.fetchval(IN_PROGRESS, *asked)
        if in_progress:
            raise StillInProgress(in_progress)
        if await connection.fetch(UNFINISHED, phone, person.contact_ids):
            return None
        hashes = await self._hashing.renew(connection)
        provider_call_ids = await _column(connection, PROVIDER_CALLS, *asked)
        during_search = (now - SEARCHED_AGAIN, now + SEARCHED_AT_ONCE)
        newest = await _column(connection, MENTIONING, pattern_of(person.phones), *during_search)
        searched = [*mentioning, *newest]
        ids = await _column(connection, IDS, person.call_ids, person.phones, person.contact_ids)
        marks = marks_of(sorted({*ids, *provider_call_ids, *searched}))
        await connection.execute(ADD_TOMBSTONES, marks, now)
        await renew_calls(connection, hashes, await connection.fetch(KEYED_CALLS, person.call_ids))
        rows = await _erase_rows(connection, person, hashes, [*provider_call_ids, *searched], now)
        await connection.execute(NOTE, person.call_ids, now, reason)
        return Erased(rows, tuple(provider_call_ids))


async def _lock_and_find(connection: Connection, phone: str) -> _Person | None:
    """Lock the phones in sorted order, then the contacts, then the contacts' rows, and read the person.

    An acceptance holds the contacts' rows until it commits, so its rows are found after these locks. Returns None if
    the person has more phones or contacts than before the locks.
    """
    contact_ids = await _column(connection, CONTACTS, phone)
    phones = await _column(connection, PHONES, phone, contact_ids)
    await connection.execute(LOCK_IN_ORDER, names_in_order(phones, contact_ids))
    await connection.execute(LOCK_CONTACT_ROWS, contact_ids)
    found = await _column(connection, CONTACTS, phone)
    phones_found = await _column(connection, PHONES, phone, found)
    if not (set(found) <= set(contact_ids) and set(phones_found) <= set(phones)):
        return None
    return _Person(phones_found, found, await _column(connection, CALLS, [phone], found))


async def _erase_rows(
    connection: Connection, person: _Person, hashes: PersonHashes, provider_call_ids: Sequence[str], now: datetime
) -> dict[str, int]:
    stand_in = f"erased-{uuid.uuid4().hex[:16]}"
    if person.contact_ids:
        await connection.execute(STAND_IN, stand_in, now)
    await connection.execute(STRIP_PENDING_EVENTS, person.call_ids)
    named = await _column(connection, NAMED_BY_STOPS, person.phones, person.contact_ids)
    asked = (
        person.call_ids,
        person.phones,
        person.contact_ids,
        provider_call_ids,
        stand_in,
        {one: hashes.newest(one) for one in named},
        pattern_of(person.phones),
    )
    rows = {}
    for kind, statement in ERASE.items():
        status = await connection.execute(ASKED + statement, *asked)
        rows[kind] = int(status.rpartition(" ")[2])
    rows["queue_messages"] += await _erase_compressed(connection, pattern_of(person.phones), provider_call_ids)
    return rows


async def _erase_compressed(connection: Connection, pattern: str, provider_call_ids: Sequence[str]) -> int:
    """Delete the compressed webhooks about the person. Returns how many.

    A damaged one may be about the person, so it is deleted too.
    """
    erased = []
    async for message in connection.cursor(COMPRESSED, COMPRESSED_START, prefetch=10):
        try:
            body = decode_webhook_received(message["body"]).body or ""
        except Permanent:
            erased.append(message["id"])
            continue
        # PostgreSQL has no text with NUL.
        if await connection.fetchval(IS_ABOUT, body.replace("\0", ""), pattern, provider_call_ids):
            erased.append(message["id"])
    await connection.execute("DELETE FROM queue_messages WHERE id = ANY ($1::bigint[])", erased)
    return len(erased)


async def _column(connection: Connection, statement: str, *values: object) -> list[str]:
    return [row[0] for row in await connection.fetch(statement, *values)]


def pattern_of(phones: Sequence[str]) -> str:
    """Build a PostgreSQL regular expression that matches the numbers in any spelling.

    The country code or a trunk zero may be there or not. Blanks, brackets, dots and hyphens may separate the digits.
    """
    spelled = "|".join("[-. ()/]{0,3}".join(_national_digits(phone)) for phone in phones)
    return f"(?:^|[^0-9])[0-9]{{0,3}}(?:{spelled})(?![0-9])"


def _national_digits(phone: str) -> str:
    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return phone.removeprefix("+")  # the country code does not exist
