"""The questions of a dashboard: the time and the cells of each, its links, and how soon a verdict is visible."""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.report import number, table
from benchmarks.results import Figures
from ringback.adapters.clock import SystemClock
from ringback.adapters.postgres.analytics import PostgresAnalytics, sums_of
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.postgres.rollups import GRAINS, INSERT_DELTAS
from ringback.domain.analytics_query import Cut, Filter
from ringback.domain.metrics import METRICS
from ringback.flows.analytics import Analytics
from ringback.flows.rollups import FOLDED_TOGETHER
from ringback.web.analytics_models import rows_url

DAYS = 30
AGENTS = 12
#: Each question is asked this often, over random ranges of up to `DAYS` days, for an agent or for all.
TIMES = 60
#: Verdicts per second beside which the time until they are visible is measured, and for how many seconds.
VERDICTS_PER_S, VERDICTS_FOR_S = 200, 10
#: Attempts are on `DAYS` days, so ten times as many are ten times as many days, with the cells of the first moved.
LARGER = 10
_BREAKDOWNS = {
    "campaign": "human_rate",
    "agent": "contact_rate",
    "agent_version": "human_rate",
    "number": "human_rate",
    "outcome": "attempts",
    "reason": "failures",
    "attempt_no": "human_rate",
}


@dataclass(frozen=True, slots=True)
class Question:
    """`ask` gets the range. `may_choose_agent`: it is also asked for one agent."""

    ask: Callable[[Filter], Awaitable[Any]]
    may_choose_agent: bool = True
    most_days: int = DAYS


def analytics_of(pool: Pool) -> Analytics:
    return Analytics(PostgresAnalytics(pool), SystemClock(), UTC, rows_url)


def questions(asked_of: Analytics, last: datetime) -> dict[str, Question]:
    """The questions of the pages of the console and of the API, by name."""

    def breakdown(by: str, metric: str) -> Question:
        return Question(lambda asked: asked_of.breakdown(asked, metric, by, 50, compare=True), by in ("agent",))

    def series(step: str, metric: str) -> Callable[[Filter], Awaitable[Any]]:
        return lambda asked: asked_of.series(asked, metric, step, compare=True)

    async def first_page(_: Filter) -> None:
        day = Filter(since=last - timedelta(days=1), until=last, zone=UTC)
        await asked_of.summary(day, compare=True)
        await asked_of.series(day, "attempts", "hour", compare=False)

    month = Filter(since=(last - timedelta(days=1)).replace(day=1), until=last, zone=UTC)
    return {
        "summary": Question(lambda asked: asked_of.summary(asked, compare=True)),
        "series by hour": Question(series("hour", "attempts"), False, 2),
        "series by day": Question(series("day", "human_rate")),
        "series by week": Question(series("week", "contact_rate")),
        **{f"breakdown by {by}": breakdown(by, metric) for by, metric in _BREAKDOWNS.items()},
        "heatmap": Question(lambda _: asked_of.breakdown(month, "human_rate", "local_hour", 168, compare=False), False),
        "first page": Question(first_page, False),
    }


async def measure_questions(pool: Pool, last: datetime, seed: int, times: int) -> dict[str, list[float]]:
    """Milliseconds of each question, sorted. The first executions, which prepare the statements, are not counted."""
    rng, took_ms = random.Random(seed), {}
    for name, question in questions(analytics_of(pool), last).items():
        all_ms = []
        for _ in range(times + 2):
            keys: dict[str, Any] = {}
            if question.may_choose_agent and rng.random() < 0.5:
                keys = {"agent": f"agent_{rng.randrange(AGENTS)}"}
            days = rng.randrange(1, question.most_days + 1)
            asked = Filter(since=last - timedelta(days=days), until=last, zone=UTC, **keys)
            began = time.perf_counter()
            await question.ask(asked)
            all_ms.append((time.perf_counter() - began) * 1000)
        took_ms[name] = sorted(all_ms[2:])
    return took_ms


class _Recorded(PostgresAnalytics):
    """The reads of the statistics, whose cuts are kept."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.cuts: list[Cut] = []

    async def sums(self, cuts: Sequence[Cut]) -> list[list[dict[str, Any]]]:
        self.cuts += cuts
        return await super().sums(cuts)


async def cells_read(pool: Pool, owner: Any, last: datetime) -> dict[str, int]:
    """The rows of rollups that each question reads, over its longest range and without an agent."""
    read = {}
    for name in questions(analytics_of(pool), last):
        recorded = _Recorded(pool)
        question = questions(Analytics(recorded, SystemClock(), UTC, rows_url), last)[name]
        await question.ask(Filter(since=last - timedelta(days=question.most_days), until=last, zone=UTC))
        read[name] = 0
        for statement, values in map(sums_of, recorded.cuts):
            plan = await owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
            read[name] += _scanned(json.loads(plan)[0]["Plan"])
    return read


def _scanned(plan: Mapping[str, Any]) -> int:
    own = round(plan["Actual Rows"] * plan["Actual Loops"]) if "Relation Name" in plan else 0
    return own + sum(_scanned(child) for child in plan.get("Plans", []))


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def compare_sizes(pool: Pool, owner: Any, last: datetime, seed: int, times: int) -> tuple[str, Figures]:
    """Ask over the cells of the attempts, and over those of ten times as many. The larger cells stay."""
    cells = await cells_read(pool, owner, last)
    small = await measure_questions(pool, last, seed, times)
    await grow(owner)
    large = await measure_questions(pool, last, seed, times)
    rows = [
        (
            name,
            f"{cells[name]:,}",
            *(number(quantile(one[name], at), 1) for one in (small, large) for at in (0.5, 0.95)),
        )
        for name in small
    ]
    whole = [sorted(ms for of_question in one.values() for ms in of_question) for one in (small, large)]
    figures = {
        "analytics.query_p95_ms": quantile(whole[0], 0.95),
        "analytics.larger_query_p95_ms": quantile(whole[1], 0.95),
        "analytics.larger_query_ratio": statistics.median(whole[1]) / statistics.median(whole[0]),
    }
    rows.append(("all", "", *(number(quantile(one, at), 1) for one in whole for at in (0.5, 0.95))))
    header = ("question", "cells read", "p50 ms", "p95 ms", f"p50 ms, {LARGER} ×", f"p95 ms, {LARGER} ×")
    return table(rows, header, 1), figures


async def grow(owner: Any) -> None:
    """Add the cells of nine further ranges of the same length before. Sums are additive, so these are their cells."""
    for grain in GRAINS:
        moment, *keys = grain.keys
        length = "times * interval '1 month'" if moment == "month" else f"times * interval '{DAYS} days'"
        kind = "timestamptz" if moment == "hour" else "date"
        columns = ", ".join((*keys, "purged", *grain.measures))
        await owner.execute(
            f"INSERT INTO {grain.table} ({moment}, {columns}) SELECT ({moment} - {length})::{kind}, {columns} "
            f"FROM {grain.table}, generate_series(1, {LARGER - 1}) AS times ON CONFLICT DO NOTHING",
            timeout=600,
        )
    await owner.execute("VACUUM ANALYZE", timeout=600)


async def wrong_links(pool: Pool, last: datetime) -> tuple[int, int]:
    """List the rows behind each number of a day and an agent. Returns how many links there are, and how many have
    another number of rows."""
    asked_of = analytics_of(pool)
    asked = Filter(since=last - timedelta(days=2), until=last - timedelta(days=1), zone=UTC, agent="agent_3")
    shown = (await asked_of.summary(asked, compare=False))["metrics"]
    expected = {}
    for name, figure in shown.items():
        metric = METRICS[name]
        expected[metric.rows] = figure["rows"]
        if metric.denominator is not None:
            expected[metric.denominator] = figure["denominator"]
    wrong = 0
    for measure, rows in expected.items():
        listed, cursor = 0, None
        while True:
            page, cursor = await asked_of.statistics.rows(asked, measure, cursor=cursor, limit=1000)
            listed += len(page)
            if cursor is None:
                break
        wrong += listed != rows
    return len(expected), wrong


async def visible_ms(
    pool: Pool, rows: PostgresRollupRows, deltas: Sequence[dict[str, Any]], seconds: float
) -> list[float]:
    """Commit the deltas of an attempt `VERDICTS_PER_S` times a second, fold as the scheduler, and ask without a pause.

    Returns for each commit the milliseconds until an answer had it, sorted.
    """
    day = datetime.fromisoformat(f"{deltas[0]['day']}T00:00:00+00:00")
    asked, asked_of = Filter(since=day, until=day + timedelta(days=1), zone=UTC), analytics_of(pool)
    committed: list[float] = []
    answers: list[tuple[int, float]] = []

    async def shown() -> int:
        answer = await asked_of.summary(asked, compare=True)
        return int(answer["metrics"]["attempts"]["value"])

    before = await shown()

    async def commit() -> None:
        began = time.perf_counter()
        for position in range(int(VERDICTS_PER_S * seconds)):
            await asyncio.sleep(max(0.0, began + position / VERDICTS_PER_S - time.perf_counter()))
            await pool.execute(INSERT_DELTAS, deltas)
            committed.append(time.perf_counter())

    async def fold() -> None:
        while True:
            await asyncio.sleep(0 if (await rows.fold(FOLDED_TOGETHER) or 0) >= FOLDED_TOGETHER else 1)

    folding, committing = asyncio.create_task(fold()), asyncio.create_task(commit())
    while not committing.done() or answers[-1][0] < len(committed):
        answers.append((await shown() - before, time.perf_counter()))
    await committing
    folding.cancel()
    waited, position = [], 0
    for count, at in answers:
        waited += [(at - moment) * 1000 for moment in committed[position:count]]
        position = max(position, count)
    return sorted(waited)
