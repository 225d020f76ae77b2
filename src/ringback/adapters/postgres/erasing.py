"""The SQL of erasing a person, table by table."""

from collections.abc import Sequence

import phonenumbers

from ringback.adapters.postgres.rows import literals
from ringback.domain.attempt import POSSIBLY_RINGING

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
#: Ids of ours that late evidence may carry.
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
# Bodies of others' calls, of chats and of unknown people's calls to us, whose people only their content tells.
MENTIONING = """
SELECT DISTINCT provider_call_id FROM provider_events
WHERE received_at BETWEEN $2 AND $3 AND fate <> 'applied' AND provider_call_id <> '' AND body ~ $1
  AND NOT EXISTS (SELECT FROM inbound_calls AS known WHERE known.provider_call_id = provider_events.provider_call_id)
"""
# A stop may name a number or a contact that no other row has beside the person.
NAMED_BY_STOPS = """
SELECT named FROM suppressions, unnest(ARRAY[phone, contact_id]) AS named
WHERE lifted_at IS NULL AND (phone = ANY ($1::text[]) OR contact_id = ANY ($2::text[])) AND named IS NOT NULL
"""
STAND_IN = "INSERT INTO contacts (contact_id, phone, updated_at) VALUES ($1, 'erased', $2)"

# What is promised to Engage still goes there, told apart by Engage's own id and with nothing that a person said.
STRIP_PENDING_EVENTS = """
UPDATE outbox SET erased = true, payload = jsonb_set(payload::jsonb, '{data}', (payload::jsonb -> 'data')
        - CASE payload ->> 'type' WHEN 'voice_ai_call_rescheduled' THEN ARRAY['analysis', 'provider_call_id', 'reason']
                                  ELSE ARRAY['analysis', 'provider_call_id'] END
        || '{"metadata": {}}'::jsonb)::json
WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL AND call_id = ANY ($1::text[])
"""

#: One set of values for all statements, so that each may use what it needs of them.
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
    # An agent's own events are whatever it chose to tell, so they do not leave any more; a call's seven do.
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
    # Their reasons are free text, and what they explain is a person's story.
    "gate_decisions": "DELETE FROM gate_decisions USING asked WHERE call_id = ANY (asked.call_ids)",
    "tasks": "UPDATE tasks SET reason = NULL FROM asked WHERE call_id = ANY (asked.call_ids)",
    "attempts": """
        UPDATE attempts SET contact_id = asked.stand_in, phone = 'erased', request = '{}', provider_call_id = NULL,
            recording_url = NULL, transcript = NULL, summary = NULL, sentiment = NULL, analysis = NULL,
            analysis_source = NULL, business = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    # Kept without the person: what an idempotency key was answered, how many calls there were and what they cost.
    "calls": """
        UPDATE calls SET contact_id = asked.stand_in, phone = 'erased', variables = '{}', metadata = '{}'
        FROM asked WHERE call_id = ANY (asked.call_ids)""",
    "contacts": "DELETE FROM contacts USING asked WHERE contact_id = ANY (asked.contact_ids)",
}
NOTE = """
INSERT INTO gate_decisions (call_id, at, kind, detail)
SELECT call_id, $2, 'erased', jsonb_build_object('reason', $3::text) FROM unnest($1::text[]) AS call_id
"""


def pattern_of(phones: Sequence[str]) -> str:
    """A regular expression, PostgreSQL's, for the numbers in any spelling: with or without a country's code or a trunk
    zero, with blanks, brackets, dots and hyphens between the digits."""
    spelled = "|".join("[-. ()/]{0,3}".join(_national_digits(phone)) for phone in phones)
    return f"(?:^|[^0-9])[0-9]{{0,3}}(?:{spelled})(?![0-9])"


def _national_digits(phone: str) -> str:
    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return phone.removeprefix("+")  # of a country that there is not
