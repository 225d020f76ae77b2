"""A person's attempts are read by an index, both by phone and by contact."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ringback.adapters.postgres import contact_snapshot
from ringback.adapters.postgres.attempts import ATTEMPTS_POSSIBLY_RINGING
from ringback.adapters.postgres.person_facts import PERSON_FACTS
from tests.postgresql import short_lived_copy

NOW = datetime(2026, 12, 1, 17, tzinfo=UTC)
PHONE, CONTACT = "+14150000007", "crm-8"
FILL = (
    "INSERT INTO contacts SELECT 'crm-' || n, 'p', NULL, NULL, '{}', now() FROM generate_series(0, 2999) AS n",
    """INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                           expires_at, expiry_is_explicit, status, final)
       SELECT 'call-' || n, 'crm-' || n % 3000, '+1415' || lpad((n % 2999)::text, 7, '0'), 'a', 'f', '{}', '{}', '{}',
              now(), now(), false, 'failed', true FROM generate_series(1, 20000) AS n""",
    """INSERT INTO tasks (task_id, call_id, kind, due_at, status, redispatches, created_at)
       SELECT 'task-' || n, 'call-' || n, 'first', now(), 'consumed', 0, now() FROM generate_series(1, 20000) AS n""",
    """INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, sent_at,
                              resent, waits, lookups, clean_lookups, polls, holds_person, holds_slot,
                              voicemail_action, business, transcript_withheld, agent_spoke, initiated_event,
                              started_event, revision)
       SELECT 'attempt-' || n, 'call-' || n, 'crm-' || n % 3000, '+1415' || lpad((n % 2999)::text, 7, '0'), 1,
              'task-' || n, '{}', 'analyzed', 1, timestamptz '2026-12-01 17:00Z' - n * interval '1 minute',
              false, 0, 0, 0, 0, false, false, 'message', '{}', false, false, true, true, 0
       FROM generate_series(1, 20000) AS n""",
    "ANALYZE",
)


READ = {
    "the eligibility check": (PERSON_FACTS, (PHONE, CONTACT, None, NOW, [])),
    "a suppression": (ATTEMPTS_POSSIBLY_RINGING, (None, CONTACT)),
    "why": (contact_snapshot._ATTEMPTS, ([PHONE], [CONTACT, "crm-9"], NOW)),
}


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """A copy for this test alone: its statistics and its dead rows would change the plans of later tests."""
    with short_lived_copy(server_url, template_database) as url:
        yield url


async def test_attempts_are_not_scanned(pool):
    async with pool.acquire() as connection:
        for fill in FILL:
            await connection.execute(fill)
        for plan in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {plan}")
            for reader, (statement, asked) in READ.items():
                lines = [row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *asked)]
                scans = [line.strip() for line in lines if " on attempts" in line]
                assert len(scans) >= 2, (reader, plan, lines)
                assert [scan for scan in scans if "Seq Scan" in scan] == [], (reader, plan)
