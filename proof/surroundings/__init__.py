"""Faults of the dependencies: database, queues, Engage, frozen workers, clocks that step."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from proof.findings import Findings, Say, Size
from proof.harness.databases import Databases, embedded_databases
from proof.invariants import Invariant
from proof.surroundings import clocks, engage, frozen, late_messages, one_key, outages, queues, receiver

Try = Callable[[Databases, Findings, int], Awaitable[None]]


class Scenario(NamedTuple):
    """Needs this process, a database and an emulator. `small` and `full` say how much is tried. `run_with_bug` tries
    it with the bug that the scenario must catch."""

    run: Try
    small: int
    full: int
    bug: str
    aim: Invariant
    run_with_bug: Callable[[Databases, Findings], Awaitable[None]]


#: Each has databases of its own, and mostly waits, so they run at the same time.
SCENARIOS = (
    Scenario(one_key.ask, 6, 100, "the idempotency key is not written down", Invariant.I8, one_key.ask_without_key),
    Scenario(
        late_messages.deliver, 4, 60, "a claim does not consume its dispatch", Invariant.I9,
        late_messages.deliver_to_forgetful_claims,
    ),
    Scenario(
        clocks.step, 5, 44, "the clock is not compared with the database's", Invariant.I10, clocks.step_without_look
    ),
    Scenario(
        engage.lose_engage, 4, 60, "events of a call overtake each other", Invariant.I14, engage.overtake
    ),
    Scenario(
        receiver.receive, 24, 400, "the receiver answers before the queue has the message", Invariant.I12,
        receiver.receive_hastily,
    ),
)  # fmt: skip
#: Alone: it has the whole product in this process.
QUEUES = Scenario(
    queues.misbehave, 4, 150, "what cannot be handled is acknowledged", Invariant.I16, queues.acknowledge_poison
)


def run(size: Size, seed: int, say: Say) -> Findings:
    """FULL has also whole systems, SQS, and many more cases."""
    found = Findings("surroundings", seed, settings={"size": size, "frozen_s": frozen.FROZEN_S})
    with _quiet(), embedded_databases() as databases:
        run_in_process(databases, found, size, say)
        if size is Size.FULL:
            _run_systems(databases, found, say)
    return found


def run_in_process(databases: Databases, found: Findings, size: Size, say: Say) -> None:
    async def play(scenario: Scenario) -> None:
        await scenario.run(databases, found, scenario.full if size is Size.FULL else scenario.small)
        with found.planting(scenario.bug, scenario.aim) as seen:
            await scenario.run_with_bug(databases, seen)

    async def play_all() -> None:
        await asyncio.gather(*map(play, SCENARIOS))

    asyncio.run(play_all())
    say("keys, late messages, clocks, Engage and receiver: done")
    asyncio.run(play(QUEUES))
    say("embedded queues: done")


def _run_systems(databases: Databases, found: Findings, say: Say) -> None:
    """Scenarios that mostly wait run at the same time. A PostgreSQL of its own needs the main thread."""
    database_url = asyncio.run(databases.copy("sqs"))
    with ThreadPoolExecutor() as threads:
        waiting = [
            threads.submit(frozen.freeze, databases.home / f"frozen-{number}", variant, say, found.seed)
            for number, variant in enumerate(frozen.VARIANTS)
        ]
        waiting.append(threads.submit(outages.stop_sqs, databases.home / "sqs", database_url, say, 6, found.seed))
        for one in waiting:
            found.merge(one.result())
    outages.stop_postgres(found, say, 9)
    queues.misbehave_on_sqs(databases, found, 60)
    say("SQS queues: done")


@contextmanager
def _quiet() -> Iterator[None]:
    """The product's warnings are right here; a scenario that fails names its seed."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
