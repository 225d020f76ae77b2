"""The SQL of the transaction: locks, facts for the eligibility check, and rows that are written in batches."""

from ringback.adapters.postgres.person_hash import KEYS_IN_USE, covering
from ringback.adapters.postgres.rows import literals, named_columns
from ringback.domain.attempt import NEVER_RANG, POSSIBLY_RINGING, Attempt
from ringback.domain.call import OPEN_TASK as OPEN_TASK_STATUSES
from ringback.domain.call import Call, InboundCall, Task
from ringback.domain.contact import Contact

#: The advisory locks: of a phone, of a contact, and the one capacity lock of the installation.
LOCK_PHONE = "SELECT pg_advisory_xact_lock(hashtextextended('phone:' || $1, 0))"
LOCK_CONTACT = "SELECT pg_advisory_xact_lock(hashtextextended('contact:' || $1, 0))"
LOCK_CAPACITY = "SELECT pg_advisory_xact_lock(hashtextextended('capacity', 0))"
LOCK_CONTACTS_OF_CALL = """
SELECT pg_advisory_xact_lock(hashtextextended('phone:' || phone, 0)),
       pg_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0))
FROM calls WHERE call_id = $1
"""
CALL_FOR_UPDATE = f"SELECT {named_columns(Call)} FROM calls WHERE call_id = $1 FOR UPDATE"
CONTACT = f"SELECT {named_columns(Contact)} FROM contacts WHERE contact_id = $1"
TASK = f"SELECT {named_columns(Task)} FROM tasks WHERE task_id = $1 FOR UPDATE"
ATTEMPT = f"SELECT {named_columns(Attempt)} FROM attempts WHERE attempt_id = $1"
ATTEMPT_OF_PROVIDER_CALL = f"SELECT {named_columns(Attempt)} FROM attempts WHERE provider_call_id = $1"


def _of_person(columns: str, condition: str) -> str:
    """Select from the attempts to the phone $1 and from those to the contact $2. A row that is both comes once.

    Each of the two look-ups uses its own index. One condition with OR may read the whole table.
    """
    keys = ("phone = $1", "contact_id = $2")
    return " UNION ".join(f"SELECT {columns} FROM attempts WHERE {key} AND {condition}" for key in keys)


# A waiting attempt, or one that Retell rejected, never rang and does not count. An unknown one counts as a call.
_OTHERS = "attempt_id IS DISTINCT FROM $3"
_OTHERS_THAT_RANG = f"state NOT IN {literals(NEVER_RANG)} AND {_OTHERS}"
_IN_LAST_DAY = f"sent_at > $4::timestamptz - interval '24 hours' AND {_OTHERS_THAT_RANG}"
PERSON_FACTS = f"""
SELECT EXISTS (SELECT FROM suppressions WHERE {covering("$1", "$2", "$5::text[]")}) AS suppressed,
       {KEYS_IN_USE} AS keys_in_use,
       (SELECT min(attempt_id) FROM ({_of_person("attempt_id", f"holds_person AND {_OTHERS}")}) AS holding
       ) AS held_by_attempt,
       recent.count AS attempts_last_day,
       recent.oldest AS oldest_attempt_in_day,
       (SELECT max(sent_at) FROM ({_of_person("max(sent_at) AS sent_at", _OTHERS_THAT_RANG)}) AS last
       ) AS last_attempt_at,
       (SELECT max(hold_until) FROM inbound_calls
        WHERE released_at IS NULL AND (phone = $1 OR contact_id = $2)) AS on_inbound_call_until,
       clock_timestamp() AS database_now
FROM (SELECT count(*), min(sent_at) AS oldest
      FROM ({_of_person("attempt_id, sent_at", _IN_LAST_DAY)}) AS in_day) AS recent
"""
IS_SUPPRESSED = f"""
SELECT EXISTS (SELECT FROM suppressions WHERE {covering("$1", "$2", "$3::text[]")}) AS suppressed,
       {KEYS_IN_USE} AS keys_in_use
"""
CAPACITY = """
SELECT paused_at IS NOT NULL AS paused, breaker_until, emulated,
       (SELECT count(*) FROM attempts WHERE holds_slot) AS live,
       (SELECT count(*) FROM attempts WHERE claimed_at > $1::timestamptz - interval '1 second') AS started_last_second
FROM installation
"""
# Only the first refusal, or that of a probe, trips the breaker. Dials that were in progress when it opened do not.
OPEN_BREAKER = """
UPDATE installation SET breaker_reason = $1, breaker_trips = breaker_trips + 1,
       breaker_until = $2::timestamptz + least(30 * power(2, least(breaker_trips, 10)), 600) * interval '1 second'
WHERE breaker_until IS NULL OR breaker_until <= $2::timestamptz OR breaker_reason = 'probing'
RETURNING breaker_until
"""
BREAKER_UNTIL = "SELECT breaker_until FROM installation"
CLOSE_BREAKER = "UPDATE installation SET breaker_until = NULL, breaker_reason = NULL, breaker_trips = 0"
PROBE_BREAKER = "UPDATE installation SET breaker_until = $1, breaker_reason = 'probing'"
OPEN_TASK = f"""
SELECT {named_columns(Task)} FROM tasks
WHERE call_id = $1 AND status IN {literals(OPEN_TASK_STATUSES)} FOR UPDATE
"""
LATEST_ATTEMPT = f"SELECT {named_columns(Attempt)} FROM attempts WHERE call_id = $1 ORDER BY number DESC LIMIT 1"

# Due by the database's time if this process is ahead: a clock that is wrong for a minute must not delay a row by hours.
INSERT_OUTBOX = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
SELECT kind, message_id, order_key, call_id, payload::json, $6, least($6, clock_timestamp())
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
     AS row (kind, message_id, order_key, call_id, payload)
ON CONFLICT (message_id) DO NOTHING
"""
INSERT_DECISIONS = """
INSERT INTO gate_decisions (call_id, attempt_id, at, kind, detail)
SELECT call_id, attempt_id, $5, kind, detail::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS row (call_id, attempt_id, kind, detail)
"""
IS_CALL_OF_ANOTHER = """
SELECT EXISTS (SELECT FROM attempts WHERE provider_call_id = $1 AND attempt_id <> $2)
    OR EXISTS (SELECT FROM inbound_calls WHERE provider_call_id = $1)
"""
RECORD_PROVIDER_EVENT = """
INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
ADD_SUPPRESSION = """
INSERT INTO suppressions (suppression_id, phone, contact_id, reason, source, created_at, phone_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
IS_ERASED = "SELECT EXISTS (SELECT FROM erased WHERE mark = ANY ($1::bytea[]))"
LIFT_SUPPRESSION = """
UPDATE suppressions SET lifted_at = $3, lifted_reason = $2 WHERE suppression_id = $1 AND lifted_at IS NULL
"""
PHONES_OF_OPEN_CALLS = """
SELECT DISTINCT phone FROM calls WHERE NOT final AND (phone = $1 OR contact_id = $2)
UNION SELECT $1 WHERE $1 IS NOT NULL ORDER BY 1
"""
# In the order in which all processes lock the contacts.
UNFINISHED_CALLS = """
SELECT call_id FROM calls WHERE NOT final AND (phone = $1 OR contact_id = $2) ORDER BY contact_id, call_id
"""
ATTEMPTS_POSSIBLY_RINGING = _of_person("attempt_id", f"state IN {literals(POSSIBLY_RINGING)}") + " ORDER BY attempt_id"
STORE_ACTION = """
INSERT INTO action_results (door, key, action, request_hash, call_id, contact_id, at, reply)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
# The row stays in the timeline, under a key that no request has.
FREE_CONTENT_KEY = """
UPDATE action_results AS done SET key = done.key || '@' || coalesce(done.ordinal, 0)
WHERE done.door = $1 AND done.key = $2 AND (done.at < $3 OR EXISTS (
    SELECT FROM action_results AS later
    WHERE later.contact_id = done.contact_id AND later.at >= $3
      AND later.ordinal > done.ordinal AND later.action = ANY ($4::text[])))
"""
ADD_DISPOSITION = """
INSERT INTO dispositions (disposition_id, call_id, attempt_id, contact_id, code, note, at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
#: Record the old values too, read from the row that is changed.
WRITE_FIELDS = """
WITH old AS (SELECT fields FROM contacts WHERE contact_id = $2 FOR UPDATE),
written AS (
    UPDATE contacts SET fields = contacts.fields || $6::jsonb, updated_at = $7 FROM old WHERE contact_id = $2)
INSERT INTO field_writes (write_id, contact_id, call_id, attempt_id, source, field, old_value, new_value, at)
SELECT $1, $2, $3, $4, $5, new.key, old.fields -> new.key, new.value, $7 FROM old, jsonb_each($6::jsonb) AS new
"""
ADD_NOTE = """
INSERT INTO notes (note_id, contact_id, call_id, attempt_id, author, note, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
SET_TIME_ZONE = """
UPDATE contacts SET time_zone = $2, time_zone_source = $3, updated_at = $4 WHERE contact_id = $1
"""
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
# The likely reason of an inbound call: the contact's call that is due next, else the last one.
NEXT_OR_LAST_CALL = f"""
SELECT calls.call_id FROM calls
LEFT JOIN tasks ON tasks.call_id = calls.call_id AND tasks.status IN {literals(OPEN_TASK_STATUSES)}
WHERE calls.contact_id = $1
ORDER BY calls.final, coalesce(tasks.due_before_hold, tasks.due_at) NULLS LAST, calls.call_id DESC LIMIT 1
"""
INBOUND_CALL = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE provider_call_id = $2 OR (inbound_id = $1 AND (provider_call_id IS NULL OR $2::text IS NULL))
ORDER BY provider_call_id NULLS LAST LIMIT 1
"""
RINGING_INBOUND_CALL = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE phone = $1 AND to_number = $2 AND rang_at >= $3 AND provider_call_id IS NULL AND released_at IS NULL
ORDER BY rang_at DESC LIMIT 1
"""
