"""One short turn of real load on a floor, from the client's process to the rows."""

from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest

from benchmarks.child import BenchmarkFailed, Child, free_port
from benchmarks.ground import give_defaults
from benchmarks.paths import PATHS
from benchmarks.seeding import Seeding
from benchmarks.turns import Side

RECEIVE = next(path for path in PATHS if path.name == "receive")
APPLY = next(path for path in PATHS if path.name == "apply")


@pytest.fixture
async def receiving(database_url, tmp_path: Path):
    port, counts = free_port(), tmp_path / "counts.json"
    arguments = ["--port", str(port), "--database-url", database_url, "--counts", str(counts)]
    child = Child("benchmarks.floors.receive", arguments, {}, tmp_path / "floor.log")
    connection = await asyncpg.connect(database_url)
    ground = SimpleNamespace(cpu_s=lambda: 0.0)
    try:
        await child.listens(port)
        yield Side(RECEIVE, child, ground, "", port, counts, connection, Seeding(1), [])
    finally:
        await connection.close()
        child.stop()


async def test_every_answer_of_a_turn_stands_for_a_row(receiving):
    await receiving.turn(0.2)
    (turn,) = receiving.rounds
    assert turn.handled == receiving.handled > 0
    assert turn.rate > 0
    assert await receiving.connection.fetchval("SELECT count(*) FROM queue_messages") == turn.handled


async def test_an_answer_without_its_row_fails_the_run(receiving):
    receiving.handled = 5
    with pytest.raises(BenchmarkFailed, match="were done"):
        await receiving.turn(0.2)


async def test_a_process_that_died_fails_the_run_with_the_end_of_its_log(tmp_path):
    child = Child("benchmarks.no_such_module", [], {}, tmp_path / "gone.log")
    with pytest.raises(BenchmarkFailed, match="no_such_module"):
        await child.listens(free_port())


async def test_three_webhooks_of_each_placed_call_wait_in_the_queue(database_url):
    connection = await asyncpg.connect(database_url)
    await give_defaults(connection)
    try:
        assert await APPLY.fill(Seeding(1), connection, 30) == 30
        bodies = await connection.fetch("SELECT body FROM queue_messages WHERE queue = 'events' ORDER BY id")
        assert len(bodies) == 30
        assert not any("~" in row["body"] for row in bodies)
        assert await connection.fetchval("SELECT count(*) FROM attempts WHERE state = 'placed'") == 10
    finally:
        await connection.close()
