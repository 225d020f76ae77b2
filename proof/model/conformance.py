"""Does the product do what the model says? Ways of the model, taken by the product on a PostgreSQL of their own."""

import asyncio
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import structlog

from proof.findings import Findings, Say
from proof.invariants import Invariant
from proof.model.driver import INSTANCE, ProductDriver
from proof.model.facts import NOW
from proof.model.replay import Different, Way, replay, walk, way_of
from proof.model.search import Edge, Label
from proof.model.state import Bounds
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.schema import upgrade
from ringback.adapters.postgres.store import PostgresStore
from tests.fixed_clock import FixedClock
from tests.flows.call_processing.conftest import DialingStack as Stack
from tests.postgresql import EMULATED, execute, server_without_fsync

WALKED = (
    Bounds("one call", faults=3, wishes=2, attempts=2),
    Bounds("voicemails", faults=2, wishes=2, attempts=3, voicemails=True),
    Bounds("resend", faults=4, wishes=1, has_keys=True, resends=True),
    Bounds("two calls", calls=2, faults=2, wishes=1),
    Bounds("two phones of a contact", calls=2, phones=2, faults=2, wishes=1),
    Bounds("two contacts of a phone", calls=2, contacts=2, faults=2, wishes=1),
    Bounds("a provider that lies", faults=3, wishes=1, provider_lies=True, has_keys=True),
)
_ROWS = "contacts, calls, tasks, attempts, provider_events, outbox, gate_decisions, suppressions, action_results"


EdgeWays = Mapping[Edge, tuple[Bounds, tuple[Label, ...]]]


def sampled(seed: int, count: int) -> list[tuple[Bounds, Way]]:
    """`count` ways of each configuration."""
    ways = []
    for bounds in WALKED:
        walked: Counter[str] = Counter()
        ways += [(bounds, walk(bounds, random.Random(f"{seed} {bounds.name} {n}"), walked)) for n in range(count)]
    return ways


async def take(way: Way, bounds: Bounds, pool: Pool) -> None:
    """Raises Different. The database is emptied first."""
    async with pool.acquire() as connection:
        await connection.execute(f"TRUNCATE {_ROWS} RESTART IDENTITY CASCADE")
        await connection.execute("UPDATE installation SET paused_at = NULL")
    stack = Stack(PostgresStore(pool, clock_is_real=False), pool, FixedClock(NOW))
    await replay(way, ProductDriver(stack, bounds))


def compare(findings: Findings, edge_ways: EdgeWays, count: int, say: Say) -> None:
    """The shortest way to every edge of the transition table, and `count` ways of each configuration."""
    ways = [(bounds, way_of(bounds, labels)) for bounds, labels in edge_ways.values()]
    ways += sampled(findings.seed, count)
    # A line for each of some thousand steps says nothing here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with tempfile.TemporaryDirectory(prefix="ringback-model-") as folder:
            with server_without_fsync(Path(folder) / "data") as url:
                asyncio.run(_compare(findings, ways, url))
    finally:
        structlog.reset_defaults()
    steps = sum(len(way) for _, way in ways)
    findings.counts |= {"ways_taken_by_the_product": len(ways), "steps_compared": steps}
    say(f"the product took {len(ways)} ways of {steps} steps, and was compared behind each step")


async def _compare(findings: Findings, ways: list[tuple[Bounds, Way]], url: str) -> None:
    await upgrade(url, instance=INSTANCE)
    await execute(url, EMULATED)
    pool = await open_pool(url, max_size=10)
    try:
        for number, (bounds, way) in enumerate(ways):
            try:
                await take(way, bounds, pool)
            except Different as different:
                where = f"seed {findings.seed}, way {number}, {bounds.name}"
                findings.broke(Invariant.I20, f"the product is not what the model says: {different}", where)
    finally:
        pool.terminate()
