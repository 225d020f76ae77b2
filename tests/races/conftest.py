"""Many connections to one database, and at the end of the run how each race ended."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.store import PostgresStore
from tests.flows.dialing.conftest import shared_database

from .trial import RaceDesk

__all__ = ["shared_database"]

TALLY = "race"


@pytest.fixture
async def pool(shared_database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(shared_database, max_size=40)
    tables = "contacts, calls, tasks, attempts, outbox, gate_decisions, suppressions, action_results, dispositions"
    async with opened.acquire() as connection:
        await connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        await connection.execute("UPDATE installation SET paused_at = NULL")
    yield opened
    opened.terminate()


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> RaceDesk:
    return RaceDesk(store, pool, clock)


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
