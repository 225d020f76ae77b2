"""The nine actions over HTTP, beside an empty handler, one bare round trip and one commit of the same minutes."""

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as File

import asyncpg

from benchmarks.action_load import COMMIT, COMMITTED, EMPTY, ROUND_TRIP
from benchmarks.action_requests import AGENTS, KINDS, SYSTEMS
from benchmarks.child import ROOT, BenchmarkFailed, Child
from benchmarks.ground import Ground
from benchmarks.paths import KEYS
from benchmarks.report import table
from benchmarks.results import Figures, Section
from benchmarks.running import Plan
from benchmarks.seeding import Seeding
from ringback.up.state import free_port

NAME = "actions"
#: Latency, not throughput: the number of requests that are open at once.
CLIENTS = 2
#: The first of each action are not counted: the process then imports, connects and prepares what it needs.
WARM_LAPS = 8
#: The load lasts as long as so many turns of a path.
TURNS = 5
#: People on the phone, one for each request; the load ends early when all were asked about.
CALLS = 5000
GIVE_UP_S = 90.0
_APIS = (SYSTEMS, AGENTS)

_HEADER = ("action", "API", "requests", "p50 ms", "p99 ms", "× both yardsticks")
_EXPLANATION = f"""\
The business API as its own process, {CLIENTS} keep-alive connections, one request at a time on each. Every request is
about another person, who is on the phone and has a callback planned; a reply other than that the action was done fails
the run. Tool calls of agents are signed and carry the conversation so far, 20 KB, and so does `call_analysed`. The same
client measures two yardsticks in between, all in random order: a Starlette route that answers `{{}}` in a process of
its own, and `SELECT 1` on an open asyncpg connection. The multiple compares medians: of the action, and of the two
yardsticks together. A committed row is one INSERT on that connection: every action commits once before its reply.
"""


@dataclass(frozen=True, slots=True)
class Timing:
    count: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class ActionResults:
    """`timings` by the names of the kinds of requests, of the two yardsticks and of the commit."""

    timings: Mapping[str, Timing]

    def section(self) -> Section:
        yardsticks = [self._row(name, "", self.timings[name]) for name in (ROUND_TRIP, EMPTY, COMMIT)]
        rows = [self._row(f"`{kind.action}`", kind.api, self.timings[kind.name]) for kind in KINDS]
        text = f"{table(yardsticks + rows, _HEADER)}\n\n{_EXPLANATION}"
        return Section("The actions", text, self.figures())

    def figures(self) -> Figures:
        """Of each API the slowest action, and how many there are."""
        worst = {api: [self._multiple(self.timings[kind.name]) for kind in KINDS if kind.api == api] for api in _APIS}
        return (
            {f"{NAME}.{api}.slowest": max(multiples) for api, multiples in worst.items()}
            | {f"{NAME}.{api}.median": statistics.median(multiples) for api, multiples in worst.items()}
            | {f"{NAME}.commit": self._multiple(self.timings[COMMIT]), f"{NAME}.commit_ms": self.timings[COMMIT].p50_ms}
        )

    def _multiple(self, timing: Timing) -> float:
        return timing.p50_ms / (self.timings[EMPTY].p50_ms + self.timings[ROUND_TRIP].p50_ms)

    def _row(self, title: str, api: str, timing: Timing) -> tuple[str, ...]:
        multiple = f"{self._multiple(timing):.1f}" if api else ""
        return title, api, f"{timing.count:,}", f"{timing.p50_ms:.2f}", f"{timing.p99_ms:.2f}", multiple


async def run_actions(ground: Ground, plan: Plan) -> Section:
    """Raises BenchmarkFailed if an action is answered with anything but its being done."""
    url = await ground.new_database(NAME)
    results = await measure(url, ground.directory, TURNS * plan.seconds, plan)
    sys.stderr.write(f"{NAME}: {results.timings[KINDS[0].name].count} requests of each\n")
    return results.section()


async def measure(
    url: str, directory: File, seconds: float, plan: Plan, *, calls: int = CALLS, warm_laps: int = WARM_LAPS
) -> ActionResults:
    """`url` is a migrated database with nothing in it, for which the fillings' defaults are set."""
    connection = await asyncpg.connect(url)
    try:
        await Seeding(plan.seed).conversations(connection, calls)
        await connection.execute(f"CREATE TABLE {COMMITTED} (number int)")
    finally:
        await connection.close()
    async with _product(url, directory, plan.profile_dir) as (product, port), _empty(directory) as empty_port:
        numbers = {
            "port": port,
            "empty-port": empty_port,
            "clients": CLIENTS,
            "calls": calls,
            "seed": plan.seed,
            "warm-laps": warm_laps,
            "seconds": seconds,
            "database-url": url,
        }
        arguments = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
        loaded = await _load(arguments, product, seconds)
    missing = sorted({kind.name for kind in KINDS} - loaded.keys())
    if missing:
        raise BenchmarkFailed(f"{NAME}: too short a load to measure {', '.join(missing)}")
    return ActionResults(loaded)


async def _load(arguments: list[str], product: Child, seconds: float) -> dict[str, Timing]:
    """Runs the client as a process of its own; it ends by itself."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.action_load", *arguments, cwd=ROOT, stdout=-1, stderr=-1
    )
    try:
        async with asyncio.timeout(seconds + GIVE_UP_S):
            output, errors = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    if client.returncode != 0:
        raise BenchmarkFailed(f"{NAME}: {errors.decode().strip()[-1500:]}\n{product.tail()[-3000:]}")
    return {
        name: Timing(told["count"], told["p50_s"] * 1000, told["p99_s"] * 1000)
        for name, told in json.loads(output).items()
    }


@asynccontextmanager
async def _product(url: str, directory: File, profile_dir: File | None) -> AsyncIterator[tuple[Child, int]]:
    port = free_port()
    arguments = ["business_api", "--port", str(port), "--counts", str(directory / f"{NAME}.json")]
    if profile_dir is not None:
        arguments += ["--profile", str((profile_dir / f"{NAME}.pstats").resolve())]
    env = {**KEYS, "RINGBACK_DATABASE_URL": url}
    child = Child("benchmarks.product_process", arguments, env, directory / f"{NAME}.log")
    try:
        await child.listens(port)
        yield child, port
    finally:
        child.stop()


@asynccontextmanager
async def _empty(directory: File) -> AsyncIterator[int]:
    port = free_port()
    child = Child("benchmarks.floors.empty", ["--port", str(port)], {}, directory / "empty.log")
    try:
        await child.listens(port)
        yield port
    finally:
        child.stop()
