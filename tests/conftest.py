"""What every test may ask for: a real PostgreSQL, a fresh database, a clock that is set by hand, the store."""

import asyncio
import gc
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

from proof.planted import forced_groups
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.schema import upgrade
from ringback.adapters.postgres.store import PostgresStore
from tests.fixed_clock import FixedClock
from tests.postgresql import EMULATED, ReusedDatabase, execute, named, server_without_fsync

# A busy machine is no fault of the code: neither an example nor the making of examples has a limit of time.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

#: Whole systems share one worker, so that they do not starve each other. So do the readers of one played week.
ON_ONE_WORKER = ("tests/stories/", "tests/played_week/")


class FoldersOnOneWorker(LoadScopeScheduling):
    """Each of these folders has one worker; other files go where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in ON_ONE_WORKER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FoldersOnOneWorker:
    return FoldersOnOneWorker(config, log)


#: What takes longest, by waiting for whole systems; begun last, it would be waited for by everything else.
LONGEST = ("tests/stories/", "tests/played_week/", "tests/proof/test_kill", "tests/proof/", "tests/embedded/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, whatever their names. Several workers take them in this order (`--no-loadscope-reorder`)."""

    def place(item: pytest.Item) -> int:
        return next((rank for rank, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay until the end, so the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here and not with the races, because pytest reads the options of this folder before it looks at any other."""
    parser.addoption("--trials", type=int, default=25, help="trials of each race in tests/races (default: 25)")
    parser.addoption("--write-examples", action="store_true", help="write the examples of ABT events anew")
    parser.addoption("--race-seed", type=int, default=20261201, help="what their delays are drawn from")
    parser.addoption("--queues", choices=["sqs"], help="where the stories' systems have both queues (default: tables)")
    parser.addoption("--upgrade-from", help="the commit from which the upgrade story upgrades")
    parser.addoption(
        "--groups", choices=forced_groups.CHOICES, help="how all stores group units of work, also those of processes"
    )


def pytest_configure(config: pytest.Config) -> None:
    # structlog's own renderer prints every local variable of a traceback, which takes longer than the test.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    asked = config.getoption("--groups")
    if asked is not None:
        forced_groups.force(asked)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """RINGBACK_TEST_DATABASE_URL, or an embedded PostgreSQL of this test process's own."""
    given = os.environ.get("RINGBACK_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with server_without_fsync(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """A migrated database that tests copy, because a copy takes a tenth of a migration's time."""
    name = f"template_{uuid.uuid4().hex[:8]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    asyncio.run(upgrade(named(server_url, name), instance="test-instance"))
    asyncio.run(execute(named(server_url, name), EMULATED))
    return name


@pytest.fixture(scope="session")
def reused_database(server_url: str, template_database: str) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(server_url, template_database)
    yield reused
    reused.drop()


@pytest.fixture
def database_url(reused_database: ReusedDatabase) -> str:
    """A database that is as it was migrated, whatever tests did with it before."""
    return reused_database.restore()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, max_size=10)
    yield opened
    opened.terminate()


@pytest.fixture
def hashing() -> Hashing:
    """Of erased people, under a key of the tests'."""
    return Hashing(("an-erasure-key-of-the-tests-00001",))


@pytest.fixture
async def store(pool: Pool, hashing: Hashing) -> PostgresStore:
    return PostgresStore(pool, clock_is_real=False, hashing=hashing)
