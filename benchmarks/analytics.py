"""The statistics over many attempts: queries, the fold, the cost of a delta, and the comparison of all cells."""

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import psutil

from benchmarks.dashboards import (
    DAYS,
    TIMES,
    VERDICTS_FOR_S,
    VERDICTS_PER_S,
    compare_sizes,
    quantile,
    visible_ms,
    wrong_links,
)
from benchmarks.ground import Ground
from benchmarks.paths import KEYS
from benchmarks.payloads import API_KEY
from benchmarks.report import table
from benchmarks.results import Figures, Section
from benchmarks.running import Plan, start_product
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.postgres.rollups import GRAINS, INSERT_DELTAS
from ringback.flows.rollups import FOLDED_TOGETHER
from ringback.up.state import free_port

NAME = "analytics"
#: Executions of each statement whose cost is measured, and the attempts of a group.
DELTAS, GROUP = 2000, 20
_AT_ONCE = 50_000

# $1: the number of the first attempt to add, $2: how many are added, $3: the last day, $4: the seed, $5: how many there
# will be, $6: the number of the first of all. They are dialed in the order of their numbers. Two in five calls have
# two. How an attempt ends is drawn from its number.
_DRAWN = """
WITH drawn AS (
    SELECT n, n / 7 * 5 + n % 7 % 5 AS call, CASE WHEN n % 7 > 4 THEN 2 ELSE 1 END AS number,
           (hashint8extended(n, $4) % 1000 + 1000) % 1000 AS luck,
           $3::timestamptz - (1 - (n - $6::bigint) / $5::float) * interval '30 days' AS at
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
#: A good five in a hundred verdicts are corrected, by a session that counts nothing.
_CORRECTIONS = """
UPDATE attempts SET successful = NOT successful, cost_cents = cost_cents + 1
WHERE hashtextextended(attempt_id, 0) % 19 = 0
"""
#: One in ten of the first attempts that have a second. They get their verdict after it, by the same kind of session.
_LATE = """
CREATE TEMP TABLE late AS SELECT attempt_id, verdict_type FROM attempts
WHERE number = 1 AND hashtextextended(attempt_id, 1) % 10 = 0
  AND EXISTS (SELECT FROM attempts AS later WHERE later.call_id = attempts.call_id AND later.number = 2)
"""
_NO_VERDICT = "UPDATE attempts SET verdict_type = NULL FROM late WHERE attempts.attempt_id = late.attempt_id"
_VERDICT = "UPDATE attempts SET verdict_type = late.verdict_type FROM late WHERE attempts.attempt_id = late.attempt_id"
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


_EXPLANATION = """\
Each question is asked over random ranges of up to 30 days, for all agents or for one, by the flow of the API and the
console: its statements and its figures, without HTTP. "10 ×" is over ten times as many days, whose cells are those of
the first 30 moved back. Deltas: CPU of the connection's PostgreSQL process for the statement, less that of `SELECT 1`;
the commit is the verdict's, which is there without them. Before the comparison of all cells one attempt in nineteen is
corrected, and one in ten of the first attempts with a second gets its verdict after it. Visible: deltas of verdicts are
committed at a fixed rate and folded every second, and the summary of the day is asked without a pause; from a commit
until an answer that has it. The CSV comes over HTTP.
"""


async def run_analytics(ground: Ground, plan: Plan) -> Section:
    attempts = plan.filled_calls
    url = await ground.new_database("analytics")
    owner = await asyncpg.connect(url)
    pool = await open_pool(url, max_size=2, is_unlimited=True)
    rows = PostgresRollupRows(pool, UTC)
    lines: list[tuple[str, str]] = [("attempts", f"{attempts:,}")]
    last = datetime(2026, 12, 1, tzinfo=UTC)
    try:
        filled, corrected_percent = await _fill(owner, rows, attempts, last, plan.seed)
        lines += filled
        alone_us, together_us = [await _delta_cost_us(owner, size, DELTAS // size) for size in (1, GROUP)]
        lines.append(
            (f"the deltas of one attempt, alone and of {GROUP}, µs of PostgreSQL", f"{alone_us:.0f}, {together_us:.0f}")
        )
        began = time.perf_counter()
        differing = len(await rows.check())
        lines.append(("the comparison of all cells, s", f"{time.perf_counter() - began:.1f}"))
        lines.append(("differing cells", str(differing)))
        links, wrong = await wrong_links(pool, last)
        lines.append(("numbers of a day and an agent, and links with another number of rows", f"{links}, {wrong}"))
        text, figures = await compare_sizes(pool, owner, last, plan.seed, TIMES if plan.seconds > 1 else 3)
        waited = await visible_ms(pool, rows, [_DELTA, _PERSON], VERDICTS_FOR_S if plan.seconds > 1 else 1)
        lines.append(
            (f"commit to visible, p99 ms, beside {VERDICTS_PER_S} verdicts/s", f"{quantile(waited, 0.99):.0f}")
        )
    finally:
        pool.terminate()
        await owner.close()
    export, export_figures = await measure_csv(ground, plan, url, last)
    figures |= export_figures | {
        "analytics.delta_us": alone_us,
        "analytics.grouped_delta_us": together_us,
        "analytics.corrected_percent": corrected_percent,
        "analytics.differing_cells": differing,
        "analytics.wrong_links": wrong,
        "analytics.visible_p99_ms": quantile(waited, 0.99),
    }
    parts = (table([*lines, *export], ("what", ""), 1), text, _EXPLANATION)
    return Section("Analytics", "\n\n".join(part.strip() for part in parts) + "\n", figures)


async def _fill(
    owner: Any, rows: PostgresRollupRows, attempts: int, last: datetime, seed: int
) -> tuple[list[tuple[str, str]], float]:
    """Fill, count, fold, correct, and conclude late. Returns the lines about it, and the corrected percent."""
    await fill_attempts(owner, attempts, last, seed)
    late = (await owner.execute(_LATE, timeout=600)).rpartition(" ")[2]
    await owner.execute(_NO_VERDICT, timeout=600)
    counting_s = await _until_none(rows.count_uncounted, 500)
    unfolded = await owner.fetchval("SELECT count(*) FROM rollup_deltas")
    folding_s = await _until_none(rows.fold, FOLDED_TOGETHER)
    corrected = int((await owner.execute(_CORRECTIONS, timeout=600)).rpartition(" ")[2])
    await owner.execute(_VERDICT, timeout=600)
    await _until_none(rows.count_uncounted, 500)
    await _until_none(rows.fold, 3000)
    cells = [await owner.fetchval(f"SELECT count(*) FROM {grain.table}") for grain in GRAINS]
    names = ", ".join(grain.table.removeprefix("rollup_") for grain in GRAINS)
    lines = [
        ("attempts counted per second (after an upgrade)", f"{attempts / counting_s:,.0f}"),
        ("deltas folded per second", f"{unfolded / folding_s:,.0f}"),
        ("corrected attempts", f"{corrected:,}"),
        ("attempts with a verdict after that of a later one", f"{int(late):,}"),
        (f"cells of {names}", ", ".join(f"{count:,}" for count in cells)),
    ]
    return lines, 100 * corrected / attempts


async def fill_attempts(owner: Any, attempts: int, last: datetime, seed: int, first: int = 0) -> None:
    """Add attempts and their calls, uncounted. Their numbers begin with `first`. It needs a superuser's rights."""
    await owner.execute("SET session_replication_role = replica")
    for done in range(0, attempts, _AT_ONCE):
        for statement in _TABLES:
            added = min(_AT_ONCE, attempts - done)
            await owner.execute(statement, first + done, added, last, seed, attempts, first, timeout=600)
    await owner.execute("RESET session_replication_role")
    await owner.execute("VACUUM ANALYZE", timeout=600)


async def measure_csv(ground: Ground, plan: Plan, url: str, last: datetime) -> tuple[list[tuple[str, str]], Figures]:
    """Read all attempts as CSV from a Voice API of its own."""
    port = free_port()
    child = start_product(ground, "internal_api", "analytics_csv", port, {**KEYS, "RINGBACK_DATABASE_URL": url}, plan)
    headers = {"authorization": f"Bearer {API_KEY}"}
    path = f"/v1/exports/attempts.csv?from={last - timedelta(days=DAYS + 1):%Y-%m-%d}&to={last:%Y-%m-%d}"
    rows, began = -1, time.perf_counter()
    try:
        await child.listens(port)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers, timeout=timeout) as session:
            began = time.perf_counter()
            async with session.get(path) as response:
                async for part in response.content.iter_any():
                    rows += part.count(b"\n")
        took_s, peak_mb = time.perf_counter() - began, child.peak_resident_bytes() / 1e6
    finally:
        child.stop()
    lines = [(f"{rows:,} attempts as CSV, s", f"{took_s:.1f}"), ("memory of that process, MB", f"{peak_mb:.0f}")]
    return lines, {"analytics.csv_rows": rows, "analytics.csv_s": took_s, "analytics.csv_mb": peak_mb}


async def _until_none(work: Callable[[int], Awaitable[int]], limit: int) -> float:
    began = time.perf_counter()
    while await work(limit):
        pass
    return time.perf_counter() - began


async def _delta_cost_us(owner: Any, size: int, times: int) -> float:
    """CPU of PostgreSQL for the deltas of an attempt, which are inserted together with those of `size` - 1 others."""
    backend = psutil.Process(owner.get_server_pid())

    async def cpu_us(statement: str, *values: Any) -> float:
        prepared = await owner.prepare(statement)
        began = sum(backend.cpu_times()[:2])
        for _ in range(times):
            await prepared.fetch(*values)
        return (sum(backend.cpu_times()[:2]) - began) * 1e6 / times

    deltas = [json.dumps(_DELTA), json.dumps(_PERSON)] * size
    transaction = owner.transaction()
    await transaction.start()
    try:
        return (await cpu_us(INSERT_DELTAS, deltas) - await cpu_us("SELECT 1")) / size
    finally:
        await transaction.rollback()
