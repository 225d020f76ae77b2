"""Short turns of real load, from the client's process to the rows: floors, what others use, the stubs."""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import benchmarks
from benchmarks import console
from benchmarks.__main__ import plan_of, read_arguments
from benchmarks.backlog import measure_pages
from benchmarks.child import BenchmarkFailed, Child
from benchmarks.filled import measure_statements, rows
from benchmarks.filling import fill
from benchmarks.ground import give_defaults
from benchmarks.latency import at_rate
from benchmarks.paths import PATHS
from benchmarks.running import Plan, open_side
from benchmarks.seeding import Seeding
from benchmarks.turns import Side
from ringback.up.state import free_port

pytestmark = pytest.mark.matrix

PLAN = Plan(seconds=0.2, rounds=1, limit_s=60.0, seed=7, filled_calls=2000)
PROGRAMS = {
    (path.name, program.name): (path, program) for path in PATHS for program in path.programs if not program.is_peer
}


class OneDatabase:
    """The ground of one side, on the test's database."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url, self.directory = url, directory

    async def new_database(self, name: str) -> str:
        return self.url

    def cpu_s(self) -> float:
        return 0.0


@pytest.fixture
async def open_program(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    connection = await asyncpg.connect(database_url)
    await give_defaults(connection)
    await connection.execute("UPDATE installation SET instance = 'benchmark', emulated = NULL")
    await connection.close()
    # The name of a side's database is its own; here there is one database for all.
    monkeypatch.setattr("benchmarks.running.named", lambda url, database: url)
    async with AsyncExitStack() as stack:

        async def open_one(path: str, program: str) -> Side:
            ground: Any = OneDatabase(database_url, tmp_path)
            return await stack.enter_async_context(open_side(ground, *PROGRAMS[path, program], PLAN))

        yield open_one


@pytest.mark.parametrize(
    ("path", "program"),
    [
        ("accept", "floor"),
        ("accept", "FastAPI + aiobotocore"),
        ("receive", "floor"),
        ("receive", "FastAPI + row commit"),
    ],
)
async def test_every_answer_of_a_turn_stands_for_a_row_or_a_message(open_program, path, program):
    side = await open_program(path, program)
    await side.turn(0.2)
    (turn,) = side.rounds
    assert turn.handled == side.handled == await side.work.done() > 0


@pytest.mark.parametrize(
    ("path", "program"),
    [
        ("place", "floor"),
        ("place", "product on SQS"),
        ("apply", "floor"),
        ("apply", "transaction each, SQS"),
        ("deliver", "floor"),
    ],
)
async def test_a_queue_that_was_filled_is_emptied_and_every_message_is_done(open_program, path, program):
    side = await open_program(path, program)
    await side._queue_turn(30)
    assert (side.handled, await side.work.left(), await side.work.done()) == (30, 0, 30)


async def test_an_answer_without_its_row_fails_the_run(open_program):
    side = await open_program("receive", "floor")
    side.handled = 5
    with pytest.raises(BenchmarkFailed, match="were done"):
        await side.turn(0.2)


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules(benchmarks.__path__)])
def test_a_module_finds_what_it_imports_in_the_product(module):
    importlib.import_module(f"benchmarks.{module}")


async def test_a_process_that_died_fails_the_run_with_the_end_of_its_log(tmp_path):
    child = Child("benchmarks.no_such_module", [], {}, tmp_path / "gone.log")
    with pytest.raises(BenchmarkFailed, match="no_such_module"):
        await child.listens(free_port())


async def test_three_webhooks_of_each_placed_call_wait_in_the_queue(database_url):
    connection = await asyncpg.connect(database_url)
    await give_defaults(connection)
    try:
        assert await Seeding(1).placed_calls(connection, 30) == []
        bodies = await connection.fetch("SELECT body FROM queue_messages WHERE queue = 'events' ORDER BY id")
        assert len(bodies) == 30
        assert not any("~" in row["body"] for row in bodies)
        assert await connection.fetchval("SELECT count(*) FROM attempts WHERE state = 'placed'") == 10
    finally:
        await connection.close()


async def test_messages_for_sqs_are_those_of_the_embedded_queue(database_url):
    connection = await asyncpg.connect(database_url)
    await give_defaults(connection)
    try:
        await Seeding(1).due_calls(connection, 3)
        embedded = [row["body"] for row in await connection.fetch("SELECT body FROM queue_messages ORDER BY id")]
        await connection.execute("TRUNCATE contacts, calls, tasks CASCADE")
        on_sqs = await Seeding(1).due_calls_on_sqs(connection, 3)
        assert [text.replace(" ", "") for text in embedded] == on_sqs
    finally:
        await connection.close()


async def test_every_page_over_filled_tables_is_found(open_program, database_url, tmp_path):
    await open_program("deliver", "floor")
    connection = await asyncpg.connect(database_url)
    await fill(connection, PLAN.filled_calls)
    await connection.close()
    text, figures = await measure_pages(OneDatabase(database_url, tmp_path), PLAN, database_url)
    assert len(text.splitlines()) == 12
    assert figures["filled.slowest_page_ms"] > 0


async def test_the_console_is_measured_over_filled_tables(open_program, database_url, tmp_path, monkeypatch):
    await open_program("deliver", "floor")
    monkeypatch.setattr(console, "EACH", 2)
    monkeypatch.setattr(console, "VIEWERS", 4)
    section = await console.run_console(OneDatabase(database_url, tmp_path), PLAN)
    assert section.figures.keys() == {
        "console.first_byte_p50_ms",
        "console.first_byte_p95_ms",
        "console.page_kb",
        "console.other_hosts",
        "console.viewers_add_percent",
    }
    assert section.figures["console.other_hosts"] == 0
    assert 10 < section.figures["console.page_kb"] <= 100
    assert "| with 4 viewers" in section.text


async def test_every_statement_over_filled_tables_runs_with_and_without_what_makes_it_fast(database_url):
    connection = await asyncpg.connect(database_url)
    await fill(connection, 300)
    await connection.close()
    text, figures = await measure_statements(database_url)
    assert len(text.splitlines()) == len(rows(datetime.now(UTC))) + 2
    assert figures.keys() == {"filled.slowest_statement_ms", "filled.purged_rate"}


async def test_a_fixed_rate_does_not_wait_for_the_calls_before():
    open_calls, most = 0, 0

    async def call(_: int) -> None:
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        await asyncio.sleep(0.05)
        open_calls -= 1

    await at_rate(call, 20, 0.001)
    assert most == 20


def test_a_quick_run_is_small_and_every_size_can_be_given():
    quick = plan_of(read_arguments(["--quick"]))
    assert (quick.rounds, quick.filled_calls, quick.peers) == (1, 20_000, True)
    given = plan_of(read_arguments(["--quick", "--rounds", "2", "--filled", "500", "--without-peers"]))
    assert (given.rounds, given.filled_calls, given.peers) == (2, 500, False)
