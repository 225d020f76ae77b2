"""The SQL of what is written down about contacts, and of their calls to us."""

from ringback.adapters.postgres.rows import literals, named_columns
from ringback.domain.call import OPEN_TASK
from ringback.domain.inbound_call import InboundCall

#: With what stood there before, read from the very row that is changed.
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
# Who has the number now, the one we called at it last before others; else who had it when we called it last.
CONTACT_BY_PHONE = """
SELECT contact_id FROM (
    (SELECT contact_id, 1 AS rank FROM contacts WHERE phone = $1
     ORDER BY (SELECT max(call_id) FROM calls WHERE calls.contact_id = contacts.contact_id AND calls.phone = $1)
              DESC NULLS LAST, updated_at DESC, contact_id LIMIT 1)
    UNION ALL
    (SELECT contact_id, 2 FROM calls WHERE phone = $1 ORDER BY call_id DESC LIMIT 1)) AS found
ORDER BY rank LIMIT 1
"""
# What somebody who calls us most likely calls about: the call that is due next, else the last one.
CALL_AT_HAND = f"""
SELECT calls.call_id FROM calls
LEFT JOIN tasks ON tasks.call_id = calls.call_id AND tasks.status IN {literals(OPEN_TASK)}
WHERE calls.contact_id = $1
ORDER BY calls.final, coalesce(tasks.due_before_hold, tasks.due_at) NULLS LAST, calls.call_id DESC LIMIT 1
"""
INBOUND_CALL = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE provider_call_id = $2 OR (inbound_id = $1 AND (provider_call_id IS NULL OR $2::text IS NULL))
ORDER BY provider_call_id NULLS LAST LIMIT 1
"""
STILL_RINGING = f"""
SELECT {named_columns(InboundCall)} FROM inbound_calls
WHERE phone = $1 AND to_number = $2 AND rang_at >= $3 AND provider_call_id IS NULL AND released_at IS NULL
ORDER BY rang_at DESC LIMIT 1
"""
