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
    fill_in,
    webhook_text,
)
from ringback.messages import CallRequested, WebhookReceived, encode

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
_EVENTS = f"""
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
SELECT 'abt_event', 'event-' || n, 'call:' || {_CALL_ID}, {_CALL_ID}, json_build_object(
           'specversion', '1.0', 'id', 'event-' || n, 'type', 'voice_ai_call_completed', 'source', '/ringback',
           'subject', {_CALL_ID}, 'time', now(), 'datacontenttype', 'application/json', 'data', json_build_object(
               'call_id', {_CALL_ID}, 'contact_id', 'crm-' || n, 'attempt', 1, 'attempt_id', {_ATTEMPT_ID},
               'provider_call_id', {_PROVIDER_CALL_ID}, 'sequence', 3, 'occurred_at', now(), 'metadata',
               json_build_object('campaign', 'benchmark'), 'ended_at', now(), 'duration_ms', 95000, 'is_final', true,
               'analysis', json_build_object('call_summary', 'The user confirmed the renewal.'))),
       clock_timestamp(), clock_timestamp()
FROM generate_series($1::bigint, $2::bigint) AS n
"""
_ANNOUNCE = "SELECT pg_notify($1, '')"


@dataclass(slots=True)
class Seeding:
    """Fills one database; the numbers of its calls go on from filling to filling."""

    seed: int
    calls: int = 0
    #: Calls with the numbers up to this one were written by another filling, with phones of their own.
    others: int = 0

    async def due_calls(self, connection: Any, count: int) -> list[str]:
        """`count` accepted calls whose messages wait in the call queue."""
        async with connection.transaction():
            first = await self._dispatched_calls(connection, count)
            await connection.execute(_CALL_MESSAGES, first + 1, first + count)
            await connection.execute(_ANNOUNCE, "ringback_queue_calls")
        return []

    async def due_calls_on_sqs(self, connection: Any, count: int) -> list[str]:
        """The same, for messages that are to be sent to SQS."""
        async with connection.transaction():
            first = await self._dispatched_calls(connection, count)
        return [call_message(number) for number in range(first + 1, first + count + 1)]

    async def _dispatched_calls(self, connection: Any, count: int) -> int:
        first = await self._people(connection, count, "queued", 0)
        await connection.execute(_TASKS, first, self.phones(first, count), "dispatched")
        return first

    async def placed_calls(self, connection: Any, count: int) -> list[str]:
        """A third of `count` placed calls, and all their webhooks in the event queue."""
        messages = self._event_messages()
        async with connection.transaction():
            first = await self.calls_in_progress(connection, count // len(EVENTS))
            await connection.execute(_EVENT_MESSAGES, first + 1, first + count // len(EVENTS), messages)
            await connection.execute(_ANNOUNCE, "ringback_queue_events")
        return []

    async def placed_calls_on_sqs(self, connection: Any, count: int) -> list[str]:
        """The same, for messages that are to be sent to SQS."""
        async with connection.transaction():
            first = await self.calls_in_progress(connection, count // len(EVENTS))
        numbers = range(first + 1, first + count // len(EVENTS) + 1)
        waves = [numbers[at : at + CALLS_SIDE_BY_SIDE] for at in range(0, len(numbers), CALLS_SIDE_BY_SIDE)]
        texts = self._event_messages()
        return [fill_in(text, ids_of(number)) for wave in waves for text in texts for number in wave]

    def _event_messages(self) -> list[str]:
        bodies = [webhook_text(event, self.seed) for event in EVENTS]
        return [encode(WebhookReceived("2026-01-01T00:00:00+00:00", body)) for body in bodies]

    async def undelivered_events(self, connection: Any, count: int) -> list[str]:
        """`count` events to Engage, each of a call of its own."""
        first, self.calls = self.calls, self.calls + count
        await connection.execute(_EVENTS, first + 1, first + count)
        return []

    async def calls_in_progress(self, connection: Any, count: int) -> int:
        """`count` placed calls that nothing was heard of yet; their numbers are this one's followers."""
        first = await self._people(connection, count, "dialing", 1)
        phones = self.phones(first, count)
        await connection.execute(_TASKS, first, phones, "consumed")
        await connection.execute(_ATTEMPTS, first, phones, "placed", False)
        return first

    async def conversations(self, connection: Any, count: int) -> None:
        """`count` people on the phone, each with a callback in two days at three in the afternoon, their time."""
        async with connection.transaction():
            first = await self._people(connection, count, "in_progress", 1)
            phones = self.phones(first, count)
            await connection.execute(_TASKS, first, phones, "consumed")
            await connection.execute(_ATTEMPTS, first, phones, "ongoing", True)
            await connection.execute(_CALLBACKS, first, phones)
        await connection.execute("ANALYZE")

    async def _people(self, connection: Any, count: int, status: str, attempts: int) -> int:
        """Contacts and calls with the numbers first + 1 to first + count; returns `first`."""
        first, self.calls = max(self.calls, self.others), max(self.calls, self.others) + count
        phones = self.phones(first, count)
        await connection.execute(_CONTACTS, first, phones)
        await connection.execute(_CALLS, first, phones, status, attempts)
        return first

    def phones(self, first: int, count: int) -> list[str]:
        phones, first = fictional_phones(), first - self.others
        assert first + count <= len(phones), "one person has one live call"
        return list(phones[first : first + count])


def call_message(number: int) -> str:
    """The message that the call with this number is due."""
    ids = {"call_id": ids_of(number).call_id, "task_id": f"00000000-0000-7000-9000-{number:012}"}
    return encode(CallRequested(**ids, dispatch=1))


def ids_of(number: int) -> CallIds:
    """Of the call with this number in a filled database; the first is 1."""
    return CallIds(
        provider_call_id=f"call_{number:032}",
        call_id=f"00000000-0000-7000-8000-{number:012}",
        attempt_id=f"00000000-0000-7000-a000-{number:012}",
    )
