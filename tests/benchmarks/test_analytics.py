"""The benchmarks of the statistics with few attempts: what they fill is counted and exported without a difference."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from benchmarks.analytics import run_analytics
from benchmarks.audit import run_audit
from benchmarks.lake import COPIES, run_lake
from benchmarks.running import Plan
from tests.postgresql import short_lived_copy

pytestmark = pytest.mark.matrix


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    with short_lived_copy(server_url, template_database) as url:
        yield url


async def test_the_statistics_of_filled_attempts_are_right(database_url, pool, tmp_path):
    await pool.execute("UPDATE installation SET instance = 'benchmark', emulated = NULL")

    async def new_database(name: str) -> str:
        return database_url

    ground = SimpleNamespace(new_database=new_database, directory=tmp_path)
    section = await run_analytics(ground, Plan(seconds=1, rounds=1, limit_s=0, seed=1, filled_calls=300))
    figures = section.figures
    assert "300" in section.text
    assert figures["analytics.differing_cells"] == figures["analytics.wrong_links"] == 0
    assert figures["analytics.corrected_percent"] > 1
    assert "attempts with a verdict after that of a later one" in section.text
    assert {"analytics.delta_us", "analytics.grouped_delta_us"} <= figures.keys()
    assert figures["analytics.csv_rows"] == 300
    assert figures["analytics.csv_mb"] > 10
    assert figures["analytics.visible_p99_ms"] > 0


async def test_every_copied_attempt_is_in_the_parquet_files(database_url, tmp_path):
    async def new_database(name: str) -> str:
        return database_url

    ground = SimpleNamespace(new_database=new_database, directory=tmp_path)
    section = await run_lake(ground, Plan(seconds=1, rounds=1, limit_s=0, seed=1, filled_calls=100))
    assert section.figures["lake.rows"] == 10 * COPIES
    assert section.figures["lake.mb"] > 10


async def test_writers_append_audit_rows(database_url, pool):
    async def new_database(name: str) -> str:
        return database_url

    ground = SimpleNamespace(new_database=new_database)
    figures = (await run_audit(ground, Plan(seconds=0.5, rounds=1, limit_s=0, seed=1))).figures
    assert figures["audit.rate_of_1"] > 0
    assert await pool.fetchval("SELECT count(*) FROM audit") > 2
