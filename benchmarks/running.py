"""A run: each path's product and floor side by side, turn and turn about, because the machine has other work too."""

import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as File

import asyncpg

from benchmarks.child import Child, free_port
from benchmarks.ground import Ground, named
from benchmarks.paths import KEYS, Path
from benchmarks.results import PathResult
from benchmarks.seeding import Seeding
from benchmarks.turns import Side

PROVIDER_LATENCY_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """`limit_s` bounds the whole run: behind it every path still gets one round, and no more."""

    seconds: float
    rounds: int
    limit_s: float
    seed: int
    profile_dir: File | None = None


async def run_paths(ground: Ground, paths: Sequence[Path], plan: Plan) -> list[PathResult]:
    began = time.monotonic()
    results = []
    for position, path in enumerate(paths, 1):
        # What is left is shared out evenly, so that a slow path does not take the last one's rounds.
        share_s = (plan.limit_s - (time.monotonic() - began)) / (len(paths) - position + 1)
        results.append(await _run_path(ground, path, plan, time.monotonic() + share_s))
        sys.stderr.write(
            f"{path.name}: {len(results[-1].product.rounds)} rounds, {results[-1].ratio:.2f} of the floor\n"
        )
    return results


async def _run_path(ground: Ground, path: Path, plan: Plan, ends_at: float) -> PathResult:
    async with AsyncExitStack() as stack:
        provider_url = await stack.enter_async_context(_provider(ground, plan)) if path.name == "place" else ""
        product = await stack.enter_async_context(_product(ground, path, plan, provider_url))
        floor = await stack.enter_async_context(_floor(ground, path, plan, provider_url))
        sides = (product, floor)
        for side in sides:
            await side.warm_up(plan.seconds)
        longest_s = 0.0
        for number in range(plan.rounds):
            turn_began = time.monotonic()
            if number and turn_began + longest_s > ends_at:
                break
            for side in sides:
                await side.turn(plan.seconds)
            longest_s = max(longest_s, time.monotonic() - turn_began)
        return PathResult(path.name, path.title, await product.finish(), await floor.finish())


@asynccontextmanager
async def _provider(ground: Ground, plan: Plan) -> AsyncIterator[str]:
    port = free_port()
    arguments = ["--port", str(port), "--latency-s", str(PROVIDER_LATENCY_S), "--run", f"{plan.seed % 0xFFFFFFFF:08x}"]
    child = Child("benchmarks.provider_stub", arguments, {}, ground.directory / "provider.log")
    try:
        await child.listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


@asynccontextmanager
async def _product(ground: Ground, path: Path, plan: Plan, provider_url: str) -> AsyncIterator[Side]:
    database, port = f"{path.name}_product", free_port()
    counts = ground.directory / f"{database}.json"
    env = {**KEYS, **path.settings, "RINGBACK_DATABASE_URL": await ground.new_database(database)}
    if provider_url:
        env["RETELL_BASE_URL"] = provider_url
    arguments = [path.service, "--port", str(port), "--counts", str(counts)]
    if plan.profile_dir is not None:
        arguments += ["--profile", str((plan.profile_dir / f"{path.name}.pstats").resolve())]
    child = Child("benchmarks.product_process", arguments, env, ground.directory / f"{database}.log")
    async with _side(ground, path, plan, child, database, port) as side:
        await child.listens(port)
        yield side


@asynccontextmanager
async def _floor(ground: Ground, path: Path, plan: Plan, provider_url: str) -> AsyncIterator[Side]:
    database, port = f"{path.name}_floor", free_port()
    url = await ground.new_database(database)
    arguments = ["--database-url", url, "--counts", str(ground.directory / f"{database}.json")]
    if path.fill is None:
        arguments += ["--port", str(port)]
    if provider_url:
        arguments += ["--provider-url", provider_url]
    module = f"benchmarks.floors.{path.name.removesuffix('_now')}"
    child = Child(module, arguments, {}, ground.directory / f"{database}.log")
    async with _side(ground, path, plan, child, database, port) as side:
        if path.fill is None:
            await child.listens(port)
        yield side


@asynccontextmanager
async def _side(ground: Ground, path: Path, plan: Plan, child: Child, database: str, port: int) -> AsyncIterator[Side]:
    try:
        connection = await asyncpg.connect(named(ground.url, database))
        try:
            counts = ground.directory / f"{database}.json"
            yield Side(path, child, ground, database, port, counts, connection, Seeding(plan.seed), [])
        finally:
            await connection.close()
    finally:
        child.stop()
