"""Faults of what is around the product: database, queues, Engage, frozen workers, clocks that step."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from proof.findings import Findings, Say, Size
from proof.surroundings import clocks, engage, frozen, late_messages, on_sqs, one_key, postgres, queues, receiver, sqs
from proof.surroundings.ground import Ground, embedded_ground


def run(size: Size, seed: int, say: Say) -> Findings:
    """SMALL: what needs a database and one emulator. FULL: also whole systems, SQS, and many more cases."""
    found = Findings("surroundings", seed, settings={"size": size, "frozen_s": frozen.FROZEN_S})
    with _quiet(), embedded_ground() as ground:
        run_in_process(ground, found, size, say)
        if size is Size.FULL:
            _run_systems(ground, found, say)
    return found


def run_in_process(ground: Ground, found: Findings, size: Size, say: Say) -> None:
    """The stories whose world is this process, a database and an emulator; then each with its bug."""
    seed, full = found.seed, size is Size.FULL

    async def keys() -> None:
        await one_key.run_one_key(ground, found, one_key.Asking(100 if full else 6, 40 if full else 10, seed))
        await one_key.plant_no_key(ground, found, seed)

    async def late() -> None:
        await late_messages.run_late_messages(ground, found, 60 if full else 4, seed)
        await late_messages.plant_forgetful_claim(ground, found, seed)

    async def stepped() -> None:
        await clocks.run_stepped_clocks(ground, found, 44 if full else 5, seed)
        await clocks.plant_no_look_at_the_clock(ground, found, seed)

    async def away() -> None:
        await engage.run_away_for_an_hour(ground, found, 60 if full else 4, seed)
        await engage.run_away_for_good(ground, found, 10 if full else 1, seed)
        await engage.plant_impatience(ground, found, seed)

    async def received() -> None:
        await receiver.run_receiver(ground, found, 400 if full else 24, seed)
        await receiver.plant_hasty_receiver(ground, found, seed)

    async def queued() -> None:
        await queues.run_queues(ground, queues.Story(found, seed, "embedded", 150 if full else 4), {})
        await queues.plant_poison_that_vanishes(ground, found)

    async def waiting_together() -> None:
        # Each has databases of its own, and mostly waits.
        await asyncio.gather(keys(), late(), stepped(), away(), received())

    asyncio.run(waiting_together())
    say("keys, late messages, clocks, Engage and receiver: done")
    asyncio.run(queued())
    say("embedded queues: done")


def _run_systems(ground: Ground, found: Findings, say: Say) -> None:
    """Those that mostly wait run at the same time; what needs a PostgreSQL of its own stays on the main thread."""
    database_url = asyncio.run(ground.database("sqs"))
    with ThreadPoolExecutor() as threads:
        waiting = [
            threads.submit(frozen.run_frozen, ground.home / f"frozen-{number}", variant, say, found.seed)
            for number, variant in enumerate(frozen.VARIANTS)
        ]
        waiting.append(threads.submit(sqs.run_sqs, ground.home / "sqs", database_url, say, 6, found.seed))
        frozen.merge(found, [one.result() for one in waiting])
    postgres.run_postgres(found, say, 9, found.seed)
    on_sqs.run_queues_on_sqs(ground, found, 60)
    say("SQS queues: done")


@contextmanager
def _quiet() -> Iterator[None]:
    """The product's warnings are what it should say here; a story that fails names its seed."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
