"""Fill the tables as in a large installation: mostly finished calls, a backlog of due ones, and undelivered events."""

from typing import Any

#: Of each thousand calls.
DUE, IN_PROGRESS, OPEN_LATER = 200, 2, 48
#: Undelivered events for each thousand calls: the last event of most of the finished ones.
UNDELIVERED = 600

_CALL_ID = "'00000000-0000-7000-8000-' || lpad(n::text, 12, '0')"
_TASK_ID = "'00000000-0000-7000-9000-' || lpad(n::text, 12, '0')"
_ATTEMPT_ID = "'00000000-0000-7000-a000-' || lpad(n::text, 12, '0')"
#: Numbers that a country's number plan allows, so that they can be dialed. Contacts are fewer than eight million.
_PHONE = "'+1415' || 2000000 + n % $2"
_N = "generate_series($1::bigint + 1, $1::bigint + $3::bigint) AS n"
_KIND = f"""CASE WHEN n % 1000 < {DUE} THEN 'due'
                 WHEN n % 1000 < {DUE + IN_PROGRESS} THEN 'in_progress'
                 WHEN n % 1000 < {DUE + IN_PROGRESS + OPEN_LATER} THEN 'later' ELSE 'finished' END"""
# The newest call has the largest id, as it has in an installation.
_AGE = "(3 * $2::bigint + 3 - n) * interval '100 milliseconds'"
# $1: calls that are there already, $2: contacts, $3: calls to add. A hundred calls in each ten seconds.
_TABLES = (
    """INSERT INTO contacts (contact_id, phone, time_zone, time_zone_source, updated_at)
       SELECT 'crm-' || n, '+1415' || 2000000 + n, 'America/Chicago', 'crm', now()
       FROM generate_series(0, $2::bigint - 1) AS n WHERE $1::bigint + $3::bigint >= 0 ON CONFLICT DO NOTHING""",
    f"""INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                           expires_at, expiry_is_explicit, status, final, idempotency_key, counted)
        SELECT {_CALL_ID}, 'crm-' || n % $2, {_PHONE}, 'agent_a', '+14155550199', '{{}}', '{{}}',
               '{{"max_attempts": 1, "delay_s": [3600], "on": ["busy"]}}', now() - {_AGE},
               now() - {_AGE} + interval '7 days' * CASE {_KIND} WHEN 'finished' THEN 1 ELSE 10 END, false,
               CASE {_KIND} WHEN 'finished' THEN (ARRAY['completed', 'failed', 'left_voicemail'])[n % 3 + 1]
                            WHEN 'in_progress' THEN 'dialing' ELSE 'scheduled' END,
               {_KIND} = 'finished', 'key-' || n, '{{"attempts": {{}}, "rows": []}}'
        FROM {_N}""",
    f"""INSERT INTO tasks (task_id, call_id, kind, due_at, status, dispatch, redispatches, created_at)
        SELECT {_TASK_ID}, {_CALL_ID}, 'first',
               CASE {_KIND} WHEN 'later' THEN now() + (n % 1000) * interval '1 hour' ELSE now() - {_AGE} END,
               CASE WHEN {_KIND} IN ('due', 'later') THEN 'pending' ELSE 'consumed' END, 1, 0, now() - {_AGE}
        FROM {_N}""",
    f"""INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence,
                              claimed_at, sent_at, placed_at, resent, waits, lookups, clean_lookups, polls,
                              next_check_at, holds_person, holds_slot, provider_call_id, voicemail_action, business,
                              transcript_withheld, agent_spoke, initiated_event, started_event, revision)
        SELECT {_ATTEMPT_ID}, {_CALL_ID}, 'crm-' || n % $2, {_PHONE}, 1, {_TASK_ID}, '{{}}',
               CASE {_KIND} WHEN 'finished' THEN 'analyzed' ELSE 'ongoing' END, 1, now() - {_AGE}, now() - {_AGE},
               now() - {_AGE}, false, 0, 0, 0, 0,
               CASE {_KIND} WHEN 'in_progress' THEN now() + interval '1 hour' END, false, {_KIND} = 'in_progress',
               'call_' || n, 'message', '{{}}', false, true, true, true, 0
        FROM {_N} WHERE {_KIND} IN ('finished', 'in_progress')""",
    f"""INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at, delivered_at, xact)
        SELECT 'abt_event', 'event-' || n || '-' || step, 'call:' || {_CALL_ID}, {_CALL_ID},
               json_build_object('type', 'voice_ai_call_completed', 'data', json_build_object('sequence', step)),
               now() - {_AGE}, now() - {_AGE},
               CASE WHEN step < 3 OR n % 1000 >= 1000 - {1000 - DUE - IN_PROGRESS - OPEN_LATER - UNDELIVERED}
                    THEN now() - {_AGE} END, '3'::xid8
        FROM {_N}, generate_series(1, 3) AS step WHERE {_KIND} = 'finished'""",
    f"""INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate)
        SELECT 'call_' || n, 'call_ended', sha256(n::text::bytea), now() - {_AGE}, {_ATTEMPT_ID}, {_CALL_ID}, 'applied'
        FROM {_N} WHERE {_KIND} = 'finished'""",
    f"""INSERT INTO gate_decisions (call_id, attempt_id, at, kind, detail)
        SELECT {_CALL_ID}, {_ATTEMPT_ID}, now() - {_AGE}, 'gate', '{{"verdict": "allow"}}'
        FROM {_N} WHERE {_KIND} = 'finished'""",
    f"""INSERT INTO action_results (door, key, action, request_hash, call_id, contact_id, at, reply)
        SELECT 'retell', 'key-' || n, 'set_disposition', 'h', {_CALL_ID}, 'crm-' || n % $2, now() - {_AGE}, '{{}}'
        FROM {_N} WHERE n % 2 = 1""",
    f"""INSERT INTO dispositions (disposition_id, call_id, attempt_id, contact_id, code, at)
        SELECT 'disposition-' || n, {_CALL_ID}, {_ATTEMPT_ID}, 'crm-' || n % $2, 'interested', now() - {_AGE}
        FROM {_N} WHERE n % 2 = 1""",
    f"""INSERT INTO suppressions (suppression_id, phone, reason, source, created_at, lifted_at)
        SELECT 'suppression-' || n, '+1416' || 2000000 + n % $2, 'opt_out', 'agent', now() - {_AGE},
               CASE WHEN n % 100 = 1 THEN now() END
        FROM {_N} WHERE n % 2 = 1""",
    f"""INSERT INTO notes (note_id, contact_id, call_id, author, note, at)
        SELECT 'note-' || n, 'crm-' || n % $2, {_CALL_ID}, 'agent', 'a note', now() - {_AGE} FROM {_N}
        WHERE n % 2 = 1""",
    f"""INSERT INTO field_writes (write_id, field, contact_id, source, new_value, at)
        SELECT 'write-' || n, 'budget', 'crm-' || n % $2, 'agent', '1', now() - {_AGE} FROM {_N} WHERE n % 2 = 1""",
    f"""INSERT INTO inbound_calls (inbound_id, provider_call_id, phone, to_number, contact_id, rang_at, hold_until,
                                   released_at)
        SELECT 'inbound-' || n, 'call_in_' || n, {_PHONE}, '+14155550199', 'crm-' || n % $2, now() - {_AGE},
               now() - {_AGE}, now() - {_AGE}
        FROM {_N} WHERE n % 3 = 1""",
)
#: Calls that one statement adds: a bound for the memory of the server.
_AT_ONCE = 100_000


async def fill(connection: Any, calls: int) -> None:
    """Add `calls` calls, with a third as many contacts. Foreign keys are not checked, as in a restore.

    The connection needs a superuser's rights.
    """
    await connection.execute("SET session_replication_role = replica")
    for done in range(0, calls, _AT_ONCE):
        for statement in _TABLES:
            await connection.execute(statement, done, max(1, calls // 3), min(_AT_ONCE, calls - done), timeout=600)
    await connection.execute("RESET session_replication_role")
    await connection.execute("VACUUM ANALYZE", timeout=600)
