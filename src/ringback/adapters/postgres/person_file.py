"""What is on file about one person, read in one snapshot and without a lock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.pool import Connection
from ringback.adapters.postgres.rows import attempt_from, call_from, contact_from, named_columns, task_from
from ringback.adapters.postgres.statements import CAPACITY
from ringback.domain.abt_event import iso
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, Contact, Task
from ringback.domain.gate import CapacityFacts
from ringback.domain.person_file import OpenCall, PastAttempt, PersonFile, SuppressionInForce

# A person is explained by what is open and by what was decided last, not by their whole history.
_CONTACTS = f"""
SELECT {named_columns(Contact)} FROM contacts WHERE phone = $1 OR contact_id = $2
   OR contact_id IN (SELECT contact_id FROM calls WHERE phone = $1) ORDER BY updated_at DESC LIMIT 50
"""
_OPEN_CALLS = f"""
SELECT {named_columns(Call)} FROM calls WHERE NOT final AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[]))
ORDER BY call_id LIMIT 100
"""
_OPEN_TASKS = f"""
SELECT {named_columns(Task)} FROM tasks WHERE call_id = ANY ($1::text[]) AND status IN ('pending', 'held', 'dispatched')
"""
_OWN_ATTEMPTS = f"""
SELECT DISTINCT ON (call_id) {named_columns(Attempt)}
FROM attempts WHERE call_id = ANY ($1::text[]) ORDER BY call_id, number DESC
"""
_SUPPRESSIONS = """
WITH asked_phone AS (SELECT phone, person_hash(phone) AS hash FROM unnest($1::text[]) AS phone),
asked_contact AS (SELECT contact_id, person_hash(contact_id) AS hash FROM unnest($2::text[]) AS contact_id),
covering AS (
    SELECT suppression_id, reason, source, created_at,
           ARRAY(SELECT asked.phone FROM asked_phone AS asked
                 WHERE asked.phone = suppressions.phone OR asked.hash = phone_hash) AS phones,
           ARRAY(SELECT asked.contact_id FROM asked_contact AS asked
                 WHERE asked.contact_id = suppressions.contact_id OR asked.hash = contact_hash) AS contact_ids
    FROM suppressions WHERE lifted_at IS NULL AND (
        phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])
        OR phone_hash IN (SELECT hash FROM asked_phone) OR contact_hash IN (SELECT hash FROM asked_contact)))
SELECT suppression_id, reason, source, created_at, phones, contact_ids FROM covering ORDER BY created_at
"""
_ATTEMPTS = """
SELECT attempt_id, call_id, phone, number, state, sent_at, ended_at, disconnection_reason, holds_person
FROM attempts AS row
WHERE phone = ANY ($1::text[]) AND (
    sent_at > $2::timestamptz - interval '24 hours' OR holds_person
    OR sent_at = (SELECT max(sent_at) FROM attempts AS other
                  WHERE other.phone = row.phone AND state NOT IN ('waiting', 'rejected')))
ORDER BY sent_at DESC NULLS LAST, attempt_id
"""
_DECISIONS = """
SELECT at, call_id, attempt_id, kind, detail FROM gate_decisions
WHERE call_id IN (SELECT call_id FROM calls WHERE phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])
                  ORDER BY call_id DESC LIMIT 20)
ORDER BY id DESC LIMIT 20
"""
_CAPACITY = CAPACITY.replace("FOR SHARE", "")
_INBOUND = """
SELECT max(hold_until) FROM inbound_calls
WHERE released_at IS NULL AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[]))
"""
_PAUSE_REASON = "SELECT pause_reason FROM installation"


async def read_person_file(
    connection: Connection, phone: str | None, contact_id: str | None, now: datetime
) -> PersonFile:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        contacts = tuple(contact_from(row) for row in await connection.fetch(_CONTACTS, phone, contact_id))
        phones = sorted({contact.phone for contact in contacts} if phone is None else {phone})
        ids = [contact.contact_id for contact in contacts] if contact_id is None else [contact_id]
        open_calls = await _open_calls(connection, phones, ids, contacts)
        # A call keeps the number that it was accepted for, so a contact may have open calls to an older one.
        phones = sorted({*phones, *(one.call.phone for one in open_calls)})
        return PersonFile(
            contacts=contacts,
            suppressions=tuple(map(_suppression, await connection.fetch(_SUPPRESSIONS, phones, ids))),
            open_calls=tuple(open_calls),
            attempts=tuple(map(_attempt, await connection.fetch(_ATTEMPTS, phones, now))),
            decisions=tuple(map(_decision, await connection.fetch(_DECISIONS, phones, ids))),
            capacity=CapacityFacts(**(await connection.fetch(_CAPACITY, now))[0]),
            pause_reason=await connection.fetchval(_PAUSE_REASON),
            on_inbound_call_until=await connection.fetchval(_INBOUND, phones, ids),
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


def _suppression(row: Any) -> SuppressionInForce:
    return SuppressionInForce(
        row["suppression_id"],
        row["reason"],
        row["source"],
        row["created_at"],
        frozenset(row["phones"]),
        frozenset(row["contact_ids"]),
    )


def _attempt(row: Any) -> PastAttempt:
    return PastAttempt(**{**row, "state": AttemptState(row["state"])})


def _decision(row: Any) -> dict[str, Any]:
    return {**row, "at": iso(row["at"])}
