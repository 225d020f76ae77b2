"""The statistics over many attempts: queries, the fold, the cost of a delta, and the comparison of all cells."""

import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from benchmarks.ground import Ground
from benchmarks.results import Section
from benchmarks.running import Plan
from ringback.adapters.clock import SystemClock
from ringback.adapters.postgres.analytics import PostgresAnalytics
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.postgres.rollups import INSERT_DELTAS
from ringback.domain.analytics_query import Filter
from ringback.flows.analytics import Analytics
from ringback.web.analytics_models import rows_url

NAME = "analytics"
DAYS = 30
QUERIES = 300
DELTAS = 1000
_AT_ONCE = 50_000

# $1: attempts that are there already, $2: attempts to add, $3: the last day, $4: the seed. Two in five calls have two
# attempts. How an attempt ends is drawn from its number, so that every run has the same rows.
_DRAWN = """
WITH drawn AS (
    SELECT n, n / 7 * 5 + least(n % 7, 4) AS call, CASE WHEN n % 7 > 4 THEN 2 ELSE 1 END AS number,
           (hashint8extended(n, $4) % 1000 + 1000) % 1000 AS luck,
           $3::timestamptz - (hashint8extended(n, $4 + 1) % 1000000 + 1000000) % 1000000 / 1000000.0
               * interval '30 days' AS at
    FROM generate_series($1::bigint, $1::bigint + $2::bigint - 1) AS n)
"""
_CALL_ID = "'00000000-0000-7000-8000-' || lpad(call::text, 12, '0')"
_TABLES = (
    f"""{_DRAWN} INSERT INTO contacts (contact_id, phone, updated_at)
        SELECT DISTINCT 'crm-' || call, '+1415' || lpad((call % 10000000)::text, 7, '0'), now() FROM drawn
        ON CONFLICT DO NOTHING""",
    f"""{_DRAWN} INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry,
            accepted_at, expires_at, expiry_is_explicit, status, final, attempts_made, closing_event_id)
        SELECT DISTINCT ON (call) {_CALL_ID}, 'crm-' || call, '+1415' || lpad((call % 10000000)::text, 7, '0'),
            'agent_' || call % 12, '+1415555' || lpad((call % 40)::text, 4, '0'), '{{}}'::jsonb, '{{}}'::jsonb,
            '{{"max_attempts": 2, "delay_s": [3600], "on": ["busy"]}}'::jsonb, at, at + interval '7 days', false,
            'completed', true, 2, 'event' FROM drawn ON CONFLICT DO NOTHING""",
    f"""{_DRAWN} INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence,
            claimed_at, sent_at, placed_at, resent, waits, lookups, clean_lookups, polls, holds_person, holds_slot,
            provider_call_id, voicemail_action, business, transcript_withheld, agent_spoke, initiated_event,
            started_event, revision, verdict_type, verdict_digest, connected, dial, party, user_turns, successful,
            sentiment, analysis_source, duration_ms, cost_cents, started_at, latency, agent_version, time_zone)
        SELECT '00000000-0000-7000-a000-' || lpad(n::text, 12, '0'), {_CALL_ID}, 'crm-' || call, '+14155550100', number,
            'task', json_build_object('agent_id', 'agent_' || call % 12,
                                      'from_number', '+1415555' || lpad((call % 40)::text, 4, '0')),
            'analyzed', 1, at, at, at, false, 0, 0, 0, 0, false, false, 'call_' || n, 'message',
            CASE WHEN luck % 97 = 0 THEN '{{"opt_out": true}}' ELSE '{{}}' END::jsonb, false, true, true, true, 0,
            CASE WHEN luck < 300 THEN 'voice_ai_call_completed' WHEN luck < 450 THEN 'voice_ai_call_partially_completed'
                 WHEN luck < 600 THEN 'voice_ai_call_left_voicemail' ELSE 'voice_ai_call_failed' END,
            CASE WHEN luck < 600 THEN 'x::' WHEN luck < 850 THEN 'voice_ai_call_failed:no_answer:'
                 ELSE 'voice_ai_call_failed:busy:' END,
            luck < 600, CASE WHEN luck < 600 THEN 'answered' WHEN luck < 850 THEN 'no_answer' ELSE 'busy' END,
            CASE WHEN luck < 450 THEN 'human' WHEN luck < 600 THEN 'voicemail' ELSE 'unknown' END,
            CASE WHEN luck < 450 THEN 3 ELSE 0 END, luck < 300,
            (ARRAY['Positive', 'Neutral', 'Negative'])[luck % 3 + 1], 'retell', 1000 * (luck % 240), luck % 50 + 0.5,
            CASE WHEN luck < 600 THEN at + interval '6 seconds' END,
            jsonb_build_object('e2e', jsonb_build_object('p50', 500 + luck)), luck % 3,
            (ARRAY['America/New_York', 'America/Chicago', 'America/Los_Angeles'])[call % 3 + 1]
        FROM drawn""",
)
#: Five in a hundred verdicts are corrected, by a session that counts nothing.
_CORRECTIONS = """
UPDATE attempts SET successful = NOT successful, cost_cents = cost_cents + 1 WHERE attempt_id LIKE '%7' AND number = 1
  AND successful IS NOT NULL AND (hashtextextended(attempt_id, 0) % 2) = 0
"""
_DELTA = {
    "kind": "attempt",
    "hour": "2026-12-01T17:00:00+00:00",
    "day": "2026-12-01",
    "direction": "outbound",
    "campaign": "",
    "agent": "agent_1",
    "agent_version": "1",
    "from_number": "+14155550199",
    "attempt_no": 1,
    "outcome": "completed",
    "month": "2026-12-01",
    "weekday": 1,
    "local_hour": 9,
    **dict.fromkeys(("talk_bucket", "latency_bucket", "cost_bucket", "answer_bucket"), 40),
    **dict.fromkeys(("attempts", "rang", "answered", "human", "conversation", "goal_met", "analysed"), 1),
    **dict.fromkeys(("cost_known", "sentiment_positive"), 1),
    "cost_millicents": 14500,
    "talk_ms": 83000,
}
_PERSON = {
    "kind": "call",
    "day": "2026-12-01",
    "campaign": "",
    "agent": "agent_1",
    "agent_version": "1",
    "persons": 1,
    "persons_reached": 1,
}


async def run_analytics(ground: Ground, plan: Plan) -> Section:
    attempts, seed = plan.filled_calls, plan.seed
    url = await ground.new_database("analytics")
    owner = await asyncpg.connect(url)
    pool = await open_pool(url, max_size=2, is_unlimited=True)
    rows = PostgresRollupRows(pool, UTC)
    lines: list[str] = []

    def say(what: str, value: str) -> None:
        lines.append(f"| {what} | {value} |")

    try:
        last = datetime(2026, 12, 1, tzinfo=UTC)
        await owner.execute("SET session_replication_role = replica")
        for done in range(0, attempts, _AT_ONCE):
            for statement in _TABLES:
                added = min(_AT_ONCE, attempts - done)
                await owner.execute(statement, done, added, last, seed, timeout=600)
        await owner.execute("RESET session_replication_role")
        await owner.execute("VACUUM ANALYZE", timeout=600)
        counting_s = await _until_none(rows.count_uncounted, 500)
        say("attempts counted per second (after an upgrade)", f"{attempts / counting_s:,.0f}")
        unfolded = await owner.fetchval("SELECT count(*) FROM rollup_deltas")
        folding_s = await _until_none(rows.fold, 5000)
        say("deltas folded per second", f"{unfolded / folding_s:,.0f}")
        corrected = (await owner.execute(_CORRECTIONS, timeout=600)).rpartition(" ")[2]
        await _until_none(rows.count_uncounted, 500)
        await _until_none(rows.fold, 3000)
        say("corrected attempts", f"{int(corrected):,}")
        cells = [await owner.fetchval(f"SELECT count(*) FROM rollup_{name}") for name in ("day", "local", "hist")]
        say("cells by day, by local hour, of distributions", ", ".join(f"{count:,}" for count in cells))
        times = sorted(await _query_times(pool, last, seed))
        say("a dashboard's query, p50 ms", f"{statistics.median(times):.1f}")
        say("a dashboard's query, p95 ms", f"{times[int(len(times) * 0.95)]:.1f}")
        say("the deltas of one attempt, µs of PostgreSQL", f"{await _delta_cost_us(owner):.0f}")
        await _until_none(rows.fold, 5000)
        began = time.perf_counter()
        differing = await rows.check()
        say("the comparison of all cells, s", f"{time.perf_counter() - began:.1f}")
        say("differing cells", str(len(differing)))
    finally:
        pool.terminate()
        await owner.close()
    text = "\n".join(["| what | |", "|---|--:|", f"| attempts | {attempts:,} |", *lines, ""])
    return Section("Analytics", text, {})


async def _until_none(work: Callable[[int], Awaitable[int]], limit: int) -> float:
    began = time.perf_counter()
    while await work(limit):
        pass
    return time.perf_counter() - began


async def _query_times(pool: Pool, last: datetime, seed: int) -> list[float]:
    """Milliseconds of what a dashboard asks: summaries, series and breakdowns of random ranges and agents."""
    rng = random.Random(seed)
    analytics = Analytics(PostgresAnalytics(pool), SystemClock(), UTC, rows_url)
    times: list[float] = []
    for _ in range(QUERIES):
        first = rng.randrange(1, DAYS)
        keys: dict[str, Any] = {} if rng.random() < 0.5 else {"agent": f"agent_{rng.randrange(12)}"}
        asked = Filter(since=last - timedelta(days=first), until=last + timedelta(days=1), zone=UTC, **keys)
        question = rng.choice(
            [
                lambda asked=asked: analytics.summary(asked, compare=True),
                lambda asked=asked: analytics.series(asked, "human_rate", "day", compare=False),
                lambda asked=asked: analytics.breakdown(asked, "contact_rate", "agent", 50, compare=True),
            ]
        )
        began = time.perf_counter()
        await question()
        times.append((time.perf_counter() - began) * 1000)
    return times


async def _delta_cost_us(owner: Any) -> float:
    """The difference between a statement that inserts the deltas of an attempt, and one that does nothing."""

    async def median_us(statement: str, *values: Any) -> float:
        prepared, taken = await owner.prepare(statement), []
        for _ in range(DELTAS):
            began = time.perf_counter()
            await prepared.fetch(*values)
            taken.append((time.perf_counter() - began) * 1e6)
        return statistics.median(taken)

    deltas = [json.dumps(_DELTA), json.dumps(_PERSON)]
    transaction = owner.transaction()
    await transaction.start()
    try:
        nothing = await median_us("SELECT $1::jsonb[]", deltas)
        return await median_us(INSERT_DELTAS, deltas) - nothing
    finally:
        await transaction.rollback()
