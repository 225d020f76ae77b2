"""Accept calls: one read for a whole group, and one statement that writes each call whole or not at all."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from ringback.adapters.postgres.person_hash import KEYS_IN_USE, Hashing, covering
from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.adapters.postgres.rollups import DELTA_COLUMNS, delta_values
from ringback.adapters.postgres.rows import columns_of, named_columns
from ringback.adapters.postgres.tasks import DISPATCHED_AT_ONCE
from ringback.domain.call import Call, Task
from ringback.domain.contribution import count_call
from ringback.storage import AcceptedCall, PersonNow

_PEOPLE_NOW = f"""
SELECT person.contact_id, contacts.time_zone, contacts.time_zone_source, {KEYS_IN_USE} AS keys_in_use,
       EXISTS (SELECT FROM suppressions
               WHERE {covering("person.phone", "person.contact_id", "string_to_array(person.hashes, ' ')")}
              ) AS suppressed,
       (SELECT count(*) FROM (SELECT FROM tasks WHERE {DISPATCHED_AT_ONCE} LIMIT $4) AS dispatched) AS dispatched
FROM unnest($1::text[], $2::text[], $3::text[]) AS person (contact_id, phone, hashes)
LEFT JOIN contacts ON contacts.contact_id = person.contact_id
"""
_STORED_ANSWERS = """
SELECT idempotency_key, request_hash, response FROM calls WHERE idempotency_key = ANY ($1::text[])
"""
#: The limit of a contact's merged fields. Above it, only the newest request's fields are kept.
MAX_CONTACT_FIELDS_BYTES = 64 * 1024
_KEYED = ("idempotency_key", "request_hash", "response")
# One statement, so one commit. A call whose key another request has taken is not inserted, nor are the rows that
# depend on it. Contacts are written in the order of their ids, so that two groups cannot deadlock. A zone that the
# person named is changed by a person only.
_INSERT = f"""
WITH given AS (
    SELECT call, contact, task, outbox_row, decision, deltas FROM jsonb_to_recordset($1::jsonb)
        AS given (call jsonb, contact jsonb, task jsonb, outbox_row jsonb, decision jsonb, deltas jsonb)),
accepted AS (
    INSERT INTO calls ({named_columns(Call, *_KEYED)}) SELECT {named_columns(Call, *_KEYED, of="call")}
    FROM given, jsonb_populate_record(NULL::calls, given.call) AS call
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING call_id),
people AS (
    INSERT INTO contacts (contact_id, phone, time_zone, time_zone_source, fields, updated_at)
    SELECT person.contact_id, person.phone, person.time_zone, person.time_zone_source, person.fields, $2
    FROM given, accepted, jsonb_populate_record(NULL::contacts, given.contact) AS person
    WHERE given.call ->> 'call_id' = accepted.call_id ORDER BY person.contact_id
    ON CONFLICT (contact_id) DO UPDATE SET
        phone = excluded.phone,
        fields = CASE WHEN octet_length((contacts.fields || excluded.fields)::text) <= {MAX_CONTACT_FIELDS_BYTES}
                      THEN contacts.fields || excluded.fields ELSE excluded.fields END,
        updated_at = excluded.updated_at,
        time_zone = CASE WHEN excluded.time_zone IS NULL OR contacts.time_zone_source = 'person'
                         THEN contacts.time_zone ELSE excluded.time_zone END,
        time_zone_source = CASE WHEN excluded.time_zone IS NULL OR contacts.time_zone_source = 'person'
                                THEN contacts.time_zone_source ELSE excluded.time_zone_source END),
planned AS (
    INSERT INTO tasks ({named_columns(Task)}) SELECT {named_columns(Task, of="task")}
    FROM given, jsonb_populate_record(NULL::tasks, given.task) AS task, accepted
    WHERE task.call_id = accepted.call_id),
queued AS (
    INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at, ready_at)
    SELECT outbox_row ->> 'kind', outbox_row ->> 'message_id', outbox_row ->> 'order_key', call_id,
           (outbox_row ->> 'payload')::json, $2, due_at, due_at
    FROM given, accepted, (SELECT least($2, clock_timestamp()) AS due_at) AS due
    WHERE given.call ->> 'call_id' = accepted.call_id AND outbox_row IS NOT NULL),
decided AS (
    INSERT INTO gate_decisions (call_id, at, kind, detail)
    SELECT call_id, $2, 'refused_at_acceptance', decision
    FROM given, accepted WHERE given.call ->> 'call_id' = accepted.call_id AND decision IS NOT NULL),
counted AS (
    INSERT INTO rollup_deltas ({DELTA_COLUMNS}) SELECT {delta_values("row")}
    FROM given, accepted, jsonb_populate_recordset(NULL::rollup_deltas, given.deltas) AS row
    WHERE deltas IS NOT NULL AND given.call ->> 'call_id' = accepted.call_id)
SELECT call_id FROM accepted
"""


async def read_people(
    pool: Pool, hashing: Hashing, people: Sequence[tuple[str, str]], most: int
) -> tuple[dict[str, PersonNow], int]:
    """Read the current facts by contact id, and the count of calls dispatched at once, which stops at `most`.

    `people` has at least one (contact id, phone) pair, and no id twice.
    """
    contact_ids, phones = zip(*people, strict=True)
    async with connection_of(pool) as connection:
        hashes = await hashing.hashes(connection)
        forms = [" ".join((*hashes.known_as(phone), *hashes.known_as(contact_id))) for contact_id, phone in people]
        records = await connection.fetch(_PEOPLE_NOW, contact_ids, phones, forms, most)
    hashes.check(records[0]["keys_in_use"])
    known = {
        record["contact_id"]: PersonNow(record["time_zone"], record["time_zone_source"], record["suppressed"])
        for record in records
    }
    return known, records[0]["dispatched"]


async def read_answers(pool: Pool, hashing: Hashing, asked: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
    """Return the stored response by idempotency key. None: the key was used for another request."""
    async with connection_of(pool) as connection:
        hashes = await hashing.hashes(connection)
        # The call of an erased person keeps its key and its request hash, both hashed.
        forms = {form: key for key in asked for form in (key, *hashes.known_as(key))}
        records = await connection.fetch(_STORED_ANSWERS, list(forms))
    answers: dict[str, dict[str, Any] | None] = {}
    for record in records:
        key = forms[record["idempotency_key"]]
        is_same = record["request_hash"] in (asked[key], *hashes.known_as(asked[key]))
        answers[key] = record["response"] if is_same else None
    return answers


async def insert_accepted(pool: Pool, accepted: Sequence[AcceptedCall], now: datetime, report_zone: tzinfo) -> set[str]:
    """Return the ids of the written calls. A missing call lost its idempotency key to another request."""
    async with connection_of(pool) as connection:
        records = await connection.fetch(_INSERT, [_row(one, report_zone) for one in accepted], now)
    return {record["call_id"] for record in records}


def kinds_of_outbox_rows(accepted: Sequence[AcceptedCall]) -> set[str]:
    return {row["kind"] for one in accepted if (row := _outbox_row(one)) is not None}


def _row(one: AcceptedCall, report_zone: tzinfo) -> dict[str, Any]:
    contact = one.contact
    count_call(one.call, (), report_zone)
    columns = columns_of(one.call)
    columns |= {"idempotency_key": one.idempotency_key, "request_hash": one.request_hash, "response": one.response}
    return {
        "call": columns,
        "contact": {
            "contact_id": contact.contact_id,
            "phone": contact.phone,
            "time_zone": contact.time_zone,
            "time_zone_source": contact.time_zone_source,
            "fields": contact.fields,
        },
        "task": None if one.task is None else columns_of(one.task),
        "outbox_row": _outbox_row(one),
        "decision": one.decision,
        "deltas": one.call.counted["rows"] if one.call.counted is not None else None,
    }


def _outbox_row(one: AcceptedCall) -> dict[str, Any] | None:
    if one.message is not None:
        message = one.message
        payload = {"call_id": message.call_id, "task_id": message.task_id, "dispatch": message.dispatch}
        return {"kind": "call_message", "message_id": f"{message.task_id}:{message.dispatch}", "payload": payload}
    if one.closing is not None:
        event = one.closing
        order_key = f"call:{event.call_id}"
        return {
            "kind": "abt_event",
            "message_id": event.event_id,
            "order_key": order_key,
            "payload": event.envelope(),
        }
    return None
