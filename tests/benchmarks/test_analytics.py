"""The benchmark of the statistics, with few attempts: what it fills is counted without a difference."""

from types import SimpleNamespace

from benchmarks.analytics import run_analytics


async def test_no_cell_differs_after_counting_corrections_and_folds(database_url):
    async def new_database(name: str) -> str:
        return database_url

    measured = (await run_analytics(SimpleNamespace(new_database=new_database), 300, 1)).render()
    assert "| attempts | 300 |" in measured
    assert "| differing cells | 0 |" in measured
