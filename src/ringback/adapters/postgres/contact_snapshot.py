"""The snapshot of one person's rows, read without a lock."""

from collections.abc import Sequence
from datetime import datetime

from ringback.adapters.postgres.capacity import CAPACITY
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Connection
from ringback.adapters.postgres.rows import attempt_from, call_from, contact_from, literals, named_columns, task_from
from ringback.domain.abt_event import iso
from ringback.domain.attempt import NEVER_RANG, Attempt, AttemptState
from ringback.domain.call import OPEN_TASK, Call, Task
from ringback.domain.contact import Contact
from ringback.domain.contact_snapshot import ContactSnapshot, InboundHold, OpenCall, PastAttempt, SuppressionInForce
from ringback.domain.eligibility import CapacityFacts

# The explanation needs the open calls and the last decisions, not the whole history.
_CONTACTS = f"""
SELECT {named_columns(Contact)} FROM contacts WHERE contact_id IN (
    SELECT $2 UNION SELECT contact_id FROM contacts WHERE phone = $1
    UNION SELECT contact_id FROM calls WHERE phone = $1)
ORDER BY updated_at DESC LIMIT 50
"""
_OPEN_CALLS = f"""
SELECT {named_columns(Call)} FROM calls WHERE NOT final AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[]))
ORDER BY call_id LIMIT 100
"""
_OPEN_TASKS = f"""
SELECT {named_columns(Task)} FROM tasks WHERE call_id = ANY ($1::text[]) AND status IN {literals(OPEN_TASK)}
"""
_OWN_ATTEMPTS = f"""
SELECT DISTINCT ON (call_id) {named_columns(Attempt)}
FROM attempts WHERE call_id = ANY ($1::text[]) ORDER BY call_id, number DESC
"""
_SUPPRESSIONS = """
WITH asked_phone AS (
    SELECT phone, string_to_array(hashes, ' ') AS hashes FROM unnest($1::text[], $3::text[]) AS asked (phone, hashes)),
asked_contact AS (
    SELECT contact_id, string_to_array(hashes, ' ') AS hashes
    FROM unnest($2::text[], $4::text[]) AS asked (contact_id, hashes)),
found AS (
    SELECT suppression_id FROM suppressions WHERE phone = ANY ($1::text[])
    UNION SELECT suppression_id FROM suppressions WHERE contact_id = ANY ($2::text[])
    UNION SELECT suppression_id FROM suppressions, asked_phone WHERE phone_hash = ANY (hashes)
    UNION SELECT suppression_id FROM suppressions, asked_contact WHERE contact_hash = ANY (hashes)),
covering AS (
    SELECT suppression_id, reason, source, created_at,
           ARRAY(SELECT asked.phone FROM asked_phone AS asked
                 WHERE asked.phone = suppressions.phone OR phone_hash = ANY (asked.hashes)) AS phones,
           ARRAY(SELECT asked.contact_id FROM asked_contact AS asked
                 WHERE asked.contact_id = suppressions.contact_id OR contact_hash = ANY (asked.hashes)) AS contact_ids
    FROM suppressions JOIN found USING (suppression_id) WHERE lifted_at IS NULL)
SELECT suppression_id, reason, source, created_at, phones, contact_ids FROM covering ORDER BY created_at
"""
_RANG = f"state NOT IN {literals(NEVER_RANG)} AND sent_at IS NOT NULL"


def _attempts_by(key: str, asked: str) -> str:
    """Select the ids of the attempts that count for the asked keys. Each part uses one index."""
    return f"""
SELECT attempt_id FROM attempts WHERE {key} = ANY ({asked}) AND sent_at > $3::timestamptz - interval '24 hours'
UNION SELECT attempt_id FROM attempts WHERE {key} = ANY ({asked}) AND holds_person
UNION SELECT last.attempt_id FROM unnest({asked}) AS asked (key), LATERAL (
    SELECT attempt_id FROM attempts WHERE {key} = asked.key AND {_RANG} ORDER BY sent_at DESC LIMIT 1) AS last
"""


_ATTEMPTS = f"""
SELECT attempt_id, call_id, contact_id, phone, number, state, sent_at, ended_at, disconnection_reason, holds_person
FROM attempts
JOIN ({_attempts_by("phone", "$1::text[]")} UNION {_attempts_by("contact_id", "$2::text[]")}) AS found
     USING (attempt_id)
ORDER BY sent_at DESC NULLS LAST, attempt_id
"""
_DECISIONS = """
SELECT at, call_id, attempt_id, kind, detail FROM gate_decisions
WHERE call_id IN (SELECT call_id FROM calls WHERE phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])
                  ORDER BY call_id DESC LIMIT 20)
ORDER BY id DESC LIMIT 20
"""
_INBOUND = """
SELECT contact_id, phone, hold_until AS until FROM inbound_calls
WHERE released_at IS NULL AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[]))
"""
_PAUSE_REASON = "SELECT pause_reason FROM installation"


async def read_contact_snapshot(
    connection: Connection, hashing: Hashing, phone: str | None, contact_id: str | None, now: datetime
) -> ContactSnapshot:
    """Read the snapshot by phone or by contact id. Raises ErasureKeyMissing."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        contacts = tuple(contact_from(row) for row in await connection.fetch(_CONTACTS, phone, contact_id))
        phones = sorted({contact.phone for contact in contacts} if phone is None else {phone})
        ids = [contact.contact_id for contact in contacts] if contact_id is None else [contact_id]
        open_calls = await _open_calls(connection, phones, ids, contacts)
        # A call keeps the number that it was accepted for, so a contact may have open calls to an older number.
        # A phone may have open calls of another contact, and these wait for the same facts as that contact.
        phones = sorted({*phones, *(one.call.phone for one in open_calls)})
        ids = sorted({*ids, *(one.call.contact_id for one in open_calls)})
        return ContactSnapshot(
            contacts=contacts,
            suppressions=await _suppressions(connection, hashing, phones, ids),
            open_calls=tuple(open_calls),
            attempts=tuple(
                PastAttempt(**{**row, "state": AttemptState(row["state"])})
                for row in await connection.fetch(_ATTEMPTS, phones, ids, now)
            ),
            decisions=tuple({**row, "at": iso(row["at"])} for row in await connection.fetch(_DECISIONS, phones, ids)),
            capacity=CapacityFacts(**(await connection.fetch(CAPACITY, now))[0]),
            pause_reason=await connection.fetchval(_PAUSE_REASON),
            inbound_holds=tuple(InboundHold(**row) for row in await connection.fetch(_INBOUND, phones, ids)),
        )


async def _open_calls(
    connection: Connection, phones: Sequence[str], contact_ids: Sequence[str], contacts: Sequence[Contact]
) -> list[OpenCall]:
    calls = [call_from(row) for row in await connection.fetch(_OPEN_CALLS, phones, contact_ids)]
    ids = [call.call_id for call in calls]
    tasks = {row["call_id"]: task_from(row) for row in await connection.fetch(_OPEN_TASKS, ids)}
    latest = {row["call_id"]: attempt_from(row) for row in await connection.fetch(_OWN_ATTEMPTS, ids)}
    known = {contact.contact_id: contact for contact in contacts}
    found = []
    for call in calls:
        task, own = tasks.get(call.call_id), latest.get(call.call_id)
        contact = known.get(call.contact_id) or Contact(call.contact_id, call.phone)
        if own is not None and own.state is not AttemptState.WAITING:
            # An unknown attempt is dialed again only by the very task that dialed it.
            is_resend = own.state is AttemptState.UNKNOWN and task is not None and own.task_id == task.task_id
            own = own if is_resend else None
        found.append(OpenCall(call, task, contact, own))
    return found


async def _suppressions(
    connection: Connection, hashing: Hashing, phones: Sequence[str], contact_ids: Sequence[str]
) -> tuple[SuppressionInForce, ...]:
    await hashing.check(connection)
    hashes = await hashing.hashes(connection)
    forms = [[" ".join(hashes.known_as(one)) for one in asked] for asked in (phones, contact_ids)]
    return tuple(
        SuppressionInForce(
            row["suppression_id"],
            row["reason"],
            row["source"],
            row["created_at"],
            frozenset(row["phones"]),
            frozenset(row["contact_ids"]),
        )
        for row in await connection.fetch(_SUPPRESSIONS, phones, contact_ids, *forms)
    )
