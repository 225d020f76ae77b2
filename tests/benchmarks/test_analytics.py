"""The benchmark of the statistics, with few attempts: what it fills is counted without a difference."""

from types import SimpleNamespace

from benchmarks.analytics import run_analytics
from benchmarks.running import Plan


async def test_no_cell_differs_after_counting_corrections_and_folds(database_url):
    async def new_database(name: str) -> str:
        return database_url

    plan = Plan(seconds=1, rounds=1, limit_s=0, seed=1, filled_calls=300)
    measured = (await run_analytics(SimpleNamespace(new_database=new_database), plan)).text
    assert "| attempts | 300 |" in measured
    assert "| differing cells | 0 |" in measured
