"""The rows behind a number that is small are found by an index of exactly these rows, whatever the range."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.analytics import fill_attempts
from ringback.adapters.postgres.analytics import rows_of
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.domain.analytics_query import Filter
from tests.postgresql import short_lived_copy

LAST = datetime(2026, 12, 1, tzinfo=UTC)
ASKED = Filter(since=LAST - timedelta(days=31), until=LAST, zone=UTC)
RARE = {
    **{f"attempts_{name}": name for name in ("unknown", "transferred", "callback", "message_left")},
    "attempts_sentiment_negative": "sentiment_negative",
    "calls_persons_goal": "persons_goal",
    "calls_persons_opted_out": "persons_opted_out",
    "calls_denied": "denied",
}
# Every row counts all of these measures after a verdict. Here one in two hundred does.
ONE_OF_MANY = """
UPDATE attempts SET counted = (counted - '{transferred,callback,message_left,sentiment_negative}'::text[])
    || CASE WHEN right(attempt_id, 2) = '77' AND attempt_id < '00000000-0000-7000-a000-000000005000'
            THEN '{"unknown": 1, "transferred": 1, "callback": 1, "message_left": 1, "sentiment_negative": 1,
                   "reason": "provider_error"}' ELSE '{}' END::jsonb;
UPDATE calls SET counted = jsonb_set(counted, '{rows,0}', counted #> '{rows,0}' ||
    CASE WHEN right(call_id, 2) = '77' THEN '{"persons_goal": 1, "persons_opted_out": 1, "denied": 1}'
         ELSE '{"persons_goal": 0, "persons_opted_out": 0}' END::jsonb);
"""


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[str]:
    with short_lived_copy(server_url, template_database) as url:
        yield url


@pytest.fixture
def database_url(filled: str) -> str:
    return filled


@pytest.fixture
async def connection(pool):
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM attempts)"):
            # On a busy machine it ran between the steps, and its room for new rows changed what the plans cost.
            await connection.execute("ALTER TABLE attempts SET (autovacuum_enabled = false)")
            await connection.execute("ALTER TABLE calls SET (autovacuum_enabled = false)")
            await fill_attempts(connection, 10_000, LAST, seed=1)
            while await PostgresRollupRows(pool, UTC).count_uncounted(2000):
                pass
            await connection.execute(ONE_OF_MANY)
            await connection.execute("VACUUM ANALYZE attempts, calls")
            await connection.execute("REINDEX TABLE attempts")  # it was filled with the rows of before
            await connection.execute("REINDEX TABLE calls")
        yield connection


async def plan_of(connection: Any, asked: Filter, measure: str, cursor: str | None = None) -> str:
    statement, values = rows_of(asked, measure)
    lines = await connection.fetch(f"EXPLAIN {statement}", *values[:3], cursor, 51, *values[3:])
    return "\n".join(line[0] for line in lines)


@pytest.mark.parametrize(("index", "measure"), RARE.items())
async def test_a_page_of_a_small_number_reads_its_index_in_order(connection, index, measure):
    assert f"using {index} " in (first := await plan_of(connection, ASKED, measure))
    column = "call_id" if index.startswith("calls") else "attempt_id"
    cursor = await connection.fetchval(f"SELECT {column} FROM {index.partition('_')[0]} ORDER BY {column} LIMIT 1")
    assert f"using {index} " in (later := await plan_of(connection, ASKED, measure, cursor))
    assert "Sort" not in first + later
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"DROP INDEX {index}")
    without = await plan_of(connection, ASKED, measure)
    await transaction.rollback()
    assert index not in without


async def test_failures_of_a_rare_reason_are_read_by_their_reason(connection):
    asked = Filter(since=ASKED.since, until=ASKED.until, zone=UTC, reason="provider_error")
    assert "using attempts_reason " in await plan_of(connection, asked, "failed")
    often = Filter(since=ASKED.since, until=ASKED.until, zone=UTC, reason="busy")
    assert "using attempts_sent " in await plan_of(connection, often, "failed")
