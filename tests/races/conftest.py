"""Many connections to the database, and at the end of the run how each race ended."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.store import PostgresStore

from .trial import RaceStack

TALLY = "race"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, max_size=40)
    yield opened
    opened.terminate()


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> RaceStack:
    return RaceStack(store, pool, clock)


@pytest.fixture
def trials(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--trials"))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--race-seed"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    tallies = [value for report in reports for name, value in report.user_properties if name == TALLY]
    if tallies:
        terminalreporter.section("races")
        terminalreporter.write("".join(f"{tally}\n" for tally in tallies))
