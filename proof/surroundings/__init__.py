"""Faults of the dependencies: database, queues, Engage, frozen workers, clocks that step."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from proof.findings import Findings, Say, Size
from proof.harness.databases import Databases, embedded_databases
from proof.surroundings import clocks, engage, frozen, late_messages, one_key, outages, queues, receiver


def run(size: Size, seed: int, say: Say) -> Findings:
    """SMALL needs a database and one emulator. FULL has also whole systems, SQS, and many more cases."""
    found = Findings("surroundings", seed, settings={"size": size, "frozen_s": frozen.FROZEN_S})
    with _quiet(), embedded_databases() as databases:
        run_in_process(databases, found, size, say)
        if size is Size.FULL:
            _run_systems(databases, found, say)
    return found


def run_in_process(databases: Databases, found: Findings, size: Size, say: Say) -> None:
    """The scenarios that need this process, a database and an emulator; each also with its planted bug."""
    seed, full = found.seed, size is Size.FULL

    async def keys() -> None:
        await one_key.run_one_key(databases, found, one_key.Asking(100 if full else 6, 40 if full else 10, seed))
        await one_key.plant_no_key(databases, found, seed)

    async def late() -> None:
        await late_messages.run_late_messages(databases, found, 60 if full else 4, seed)
        await late_messages.plant_forgetful_claim(databases, found, seed)

    async def stepped() -> None:
        await clocks.run_stepped_clocks(databases, found, 44 if full else 5, seed)
        await clocks.plant_no_look_at_the_clock(databases, found, seed)

    async def unavailable() -> None:
        await engage.run_unavailable_for_an_hour(databases, found, 60 if full else 4, seed)
        await engage.run_unavailable_for_good(databases, found, 10 if full else 1, seed)
        await engage.plant_overtaking(databases, found, seed)

    async def received() -> None:
        await receiver.run_receiver(databases, found, 400 if full else 24, seed)
        await receiver.plant_hasty_receiver(databases, found, seed)

    async def queued() -> None:
        await queues.run_queues(databases, queues.Story(found, seed, "embedded", 150 if full else 4), {})
        await queues.plant_poison_that_vanishes(databases, found)

    async def waiting_together() -> None:
        # Each has databases of its own, and mostly waits.
        await asyncio.gather(keys(), late(), stepped(), unavailable(), received())

    asyncio.run(waiting_together())
    say("keys, late messages, clocks, Engage and receiver: done")
    asyncio.run(queued())
    say("embedded queues: done")


def _run_systems(databases: Databases, found: Findings, say: Say) -> None:
    """Scenarios that mostly wait run at the same time. A PostgreSQL of its own needs the main thread."""
    database_url = asyncio.run(databases.copy("sqs"))
    with ThreadPoolExecutor() as threads:
        waiting = [
            threads.submit(frozen.run_frozen, databases.home / f"frozen-{number}", variant, say, found.seed)
            for number, variant in enumerate(frozen.VARIANTS)
        ]
        waiting.append(threads.submit(outages.run_sqs, databases.home / "sqs", database_url, say, 6, found.seed))
        frozen.merge(found, [one.result() for one in waiting])
    outages.run_postgres(found, say, 9, found.seed)
    queues.run_queues_on_sqs(databases, found, 60)
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
