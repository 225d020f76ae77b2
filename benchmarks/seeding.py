"""Rows and queue messages that a path starts from, written by a few statements whatever their number."""

from dataclasses import dataclass
from typing import Any

from benchmarks.payloads import (
    AGENT,
    ATTEMPT_MARK,
    CALL_MARK,
    CALLER,
    EVENTS,
    PROVIDER_CALL_MARK,
    CallIds,
    fictional_phones,
    webhook_text,
)
from ringback.messages import WebhookReceived, encode

#: So many calls are in the same stage at once: their events lie between each other in the queue.
CALLS_SIDE_BY_SIDE = 50

_CALL_ID = "'00000000-0000-7000-8000-' || lpad(n::text, 12, '0')"
_TASK_ID = "'00000000-0000-7000-9000-' || lpad(n::text, 12, '0')"
_ATTEMPT_ID = "'00000000-0000-7000-a000-' || lpad(n::text, 12, '0')"
_CALLBACK_ID = "'00000000-0000-7000-b000-' || lpad(n::text, 12, '0')"
_PROVIDER_CALL_ID = "'call_' || lpad(n::text, 32, '0')"
_PEOPLE = "unnest($2::text[]) WITH ORDINALITY AS person (phone, position), LATERAL (SELECT $1 + position AS n) AS at"

_CONTACTS = f"""
INSERT INTO contacts (contact_id, phone, time_zone, time_zone_source, updated_at)
SELECT 'crm-' || n, phone, 'America/Chicago', 'crm', now() FROM {_PEOPLE}
"""
_CALLS = f"""
INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                   expires_at, expiry_is_explicit, status, sequence, budget_used, attempts_made)
SELECT {_CALL_ID}, 'crm-' || n, phone, '{AGENT}', '{CALLER}', '{{"first_name": "Ada", "product": "home insurance"}}',
       '{{"campaign": "benchmark"}}', '{{"max_attempts": 1, "delay_s": [3600], "on": ["busy", "no_answer"]}}',
       now(), now() + interval '7 days', false, $3, $4, $4, $4
FROM {_PEOPLE}
"""
_TASKS = f"""
INSERT INTO tasks (task_id, call_id, kind, due_at, status, dispatch, dispatched_at, redispatches, created_at)
SELECT {_TASK_ID}, {_CALL_ID}, 'first', now(), $3, 1, now(), 0, now() FROM {_PEOPLE}
"""
_CALL_MESSAGES = f"""
INSERT INTO queue_messages (queue, body, sent_at, visible_at)
SELECT 'calls', json_build_object('type', 'CallRequested', 'v', 1, 'call_id', {_CALL_ID}, 'task_id', {_TASK_ID},
                                  'dispatch', 1)::text, clock_timestamp(), clock_timestamp()
FROM generate_series($1::bigint, $2::bigint) AS n
"""
_ATTEMPTS = f"""
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, claimed_at,
                      sent_at, placed_at, resent, waits, lookups, clean_lookups, polls, next_check_at, holds_person,
                      holds_slot, provider_call_id, voicemail_action, business, transcript_withheld, agent_spoke,
                      initiated_event, started_event, revision)
SELECT {_ATTEMPT_ID}, {_CALL_ID}, 'crm-' || n, phone, 1, {_TASK_ID}, '{{}}', $3, 1, now() - interval '2 minutes',
       now() - interval '2 minutes', now() - interval '2 minutes', false, 0, 0, 0, 0, now() + interval '1 hour', true,
       true, {_PROVIDER_CALL_ID}, 'unknown', '{{}}', false, false, true, $4, 0
FROM {_PEOPLE}
"""
_CALLBACKS = f"""
INSERT INTO tasks (task_id, call_id, kind, due_at, status, redispatches, local_time, time_zone, created_at)
SELECT {_CALLBACK_ID}, {_CALL_ID}, 'callback', due_at, 'pending', 0,
       to_char(due_at AT TIME ZONE 'America/Chicago', 'YYYY-MM-DD"T"HH24:MI:SS'), 'America/Chicago', now()
FROM {_PEOPLE}, (SELECT date_trunc('day', now(), 'America/Chicago') + interval '2 days 15 hours' AS due_at) AS wish
"""
_EVENT_MESSAGES = f"""
INSERT INTO queue_messages (queue, body, sent_at, visible_at)
SELECT 'events', replace(replace(replace(template, '{PROVIDER_CALL_MARK}', {_PROVIDER_CALL_ID}),
                                 '{CALL_MARK}', {_CALL_ID}), '{ATTEMPT_MARK}', {_ATTEMPT_ID}),
       clock_timestamp(), clock_timestamp()
FROM (SELECT n, template FROM generate_series($1::bigint, $2::bigint) AS n,
             unnest($3::text[]) WITH ORDINALITY AS event (template, position)
      ORDER BY n / {CALLS_SIDE_BY_SIDE}, position, n) AS wave
"""
_ANNOUNCE = "SELECT pg_notify($1, '')"


@dataclass(slots=True)
class Seeding:
    """Fills one database; the numbers of its calls go on from filling to filling."""

    seed: int
    calls: int = 0

    async def due_calls(self, connection: Any, count: int) -> int:
        """`count` accepted calls whose messages wait in the call queue."""
        async with connection.transaction():
            first = await self._people(connection, count, "queued", 0)
            await connection.execute(_TASKS, first, _phones(first, count), "dispatched")
            await connection.execute(_CALL_MESSAGES, first + 1, first + count)
            await connection.execute(_ANNOUNCE, "ringback_queue_calls")
        return count

    async def placed_calls(self, connection: Any, count: int) -> int:
        """A third of `count` placed calls, and all their webhooks in the event queue; returns how many webhooks."""
        calls = max(1, count // len(EVENTS))
        bodies = [webhook_text(event, self.seed) for event in EVENTS]
        messages = [encode(WebhookReceived("2026-01-01T00:00:00+00:00", body)) for body in bodies]
        async with connection.transaction():
            first = await self.calls_in_progress(connection, calls)
            await connection.execute(_EVENT_MESSAGES, first + 1, first + calls, messages)
            await connection.execute(_ANNOUNCE, "ringback_queue_events")
        return calls * len(EVENTS)

    async def calls_in_progress(self, connection: Any, count: int) -> int:
        """`count` placed calls that nothing was heard of yet; their numbers are this one's followers."""
        first = await self._people(connection, count, "dialing", 1)
        phones = _phones(first, count)
        await connection.execute(_TASKS, first, phones, "consumed")
        await connection.execute(_ATTEMPTS, first, phones, "placed", False)
        return first

    async def conversations(self, connection: Any, count: int) -> None:
        """`count` people on the phone, each with a callback in two days at three in the afternoon, their time."""
        async with connection.transaction():
            first = await self._people(connection, count, "in_progress", 1)
            phones = _phones(first, count)
            await connection.execute(_TASKS, first, phones, "consumed")
            await connection.execute(_ATTEMPTS, first, phones, "ongoing", True)
            await connection.execute(_CALLBACKS, first, phones)
        await connection.execute("ANALYZE")

    async def _people(self, connection: Any, count: int, status: str, attempts: int) -> int:
        """Contacts and calls with the numbers first + 1 to first + count; returns `first`."""
        first, self.calls = self.calls, self.calls + count
        phones = _phones(first, count)
        await connection.execute(_CONTACTS, first, phones)
        await connection.execute(_CALLS, first, phones, status, attempts)
        return first


def ids_of(number: int) -> CallIds:
    """Of the call with this number in a filled database; the first is 1."""
    return CallIds(
        provider_call_id=f"call_{number:032}",
        call_id=f"00000000-0000-7000-8000-{number:012}",
        attempt_id=f"00000000-0000-7000-a000-{number:012}",
    )


def _phones(first: int, count: int) -> list[str]:
    phones = fictional_phones()
    assert first + count <= len(phones), "one person has one live call"
    return list(phones[first : first + count])
