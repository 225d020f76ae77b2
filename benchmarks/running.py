"""A run of the paths: their sides turn and turn about, because the machine has other work too."""

import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as File

import asyncpg

from benchmarks.child import PEERS_PYTHON, BenchmarkFailed, Child
from benchmarks.ground import Ground, named
from benchmarks.paths import KEYS, Path, Program, Source, Stub
from benchmarks.results import PathResult, SideResult
from benchmarks.seeding import Seeding
from benchmarks.turns import GIVE_UP_S, Side, run_to_end
from benchmarks.work import Work
from ringback.up.state import free_port

PROVIDER_LATENCY_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """`limit_s` bounds the paths: after it every path still gets one round, and no more."""

    seconds: float
    rounds: int
    limit_s: float
    seed: int
    profile_dir: File | None = None
    peers: bool = True
    filled_calls: int = 1_000_000


async def run_paths(ground: Ground, paths: Sequence[Path], plan: Plan) -> list[PathResult]:
    began = time.monotonic()
    results = []
    for position, path in enumerate(paths, 1):
        # What is left is shared out evenly, so that a slow path does not take the last one's rounds.
        share_s = (plan.limit_s - (time.monotonic() - began)) / (len(paths) - position + 1)
        results.append(await _run_path(ground, path, plan, time.monotonic() + share_s))
        ratios = ", ".join(f"{ratio:.2f} × {name}" for name, ratio in results[-1].ratios().items())
        sys.stderr.write(f"{path.name}: {results[-1].rounds} rounds, {ratios}\n")
    return results


async def _run_path(ground: Ground, path: Path, plan: Plan, ends_at: float) -> PathResult:
    programs = [program for program in path.programs if plan.peers or not program.is_peer]
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(open_side(ground, path, program, plan)) for program in programs]
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
        finished: dict[str, SideResult] = {side.program.name: await side.finish(ground) for side in sides}
        return PathResult(path.name, path.title, finished)


@asynccontextmanager
async def open_stub(ground: Ground, module: str, name: str, *options: str) -> AsyncIterator[str]:
    """Start a stub and yield its URL."""
    port = free_port()
    child = Child(f"benchmarks.{module}", ["--port", str(port), *options], {}, ground.directory / f"{name}.log")
    try:
        await child.listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


def provider_options(seed: int) -> tuple[str, ...]:
    return ("--latency-s", str(PROVIDER_LATENCY_S), "--run", f"{seed % 0xFFFFFFFF:08x}")


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of the processes of one side. `stub_url` is the system that the path calls."""

    ground: Ground
    path: Path
    program: Program
    plan: Plan
    database: str
    database_url: str
    stub_url: str
    queue_url: str

    def counts(self, number: int) -> File:
        return self.ground.directory / f"{self.database}_{number}.json"

    def start(self, port: int, number: int) -> Child:
        name = f"{self.database}_{number}"
        if self.program.is_product:
            options = () if self.program.counts else ("--without-statistics",)
            return start_product(self.ground, self.path.service, name, port, self._product_env(), self.plan, options)
        python = str(PEERS_PYTHON) if self.program.is_peer else sys.executable
        log = self.ground.directory / f"{name}.log"
        return Child(self.program.module, self._arguments(port), KEYS, log, python)

    async def enqueue(self, count: int, first: int) -> None:
        """Run the peer's own producer."""
        command = [self.program.module, *self._arguments(0), "--enqueue", str(count), "--first", str(first)]
        await run_to_end(command, GIVE_UP_S, str(PEERS_PYTHON))

    def _arguments(self, port: int) -> list[str]:
        """Of a program beside the product: those that benchmarks/floors/arguments.py reads."""
        values = [str(port), self.database_url, self.stub_url, self.queue_url, str(self.counts(0))]
        names = ("port", "database-url", "provider-url", "queue-url", "counts")
        return [f"--{name}={value}" for name, value in zip(names, values, strict=True)]

    def _product_env(self) -> dict[str, str]:
        env = {**KEYS, **self.path.settings, "RINGBACK_DATABASE_URL": self.database_url}
        if self.path.stub is Stub.PROVIDER:
            env["RETELL_BASE_URL"] = self.stub_url
        elif self.path.stub is Stub.ENGAGE:
            env["RINGBACK_ENGAGE_URL"] = self.stub_url
        if self.queue_url:
            env["RINGBACK_CALL_QUEUE" if self.path.stub is Stub.PROVIDER else "RINGBACK_EVENT_QUEUE"] = self.queue_url
            env["AWS_ENDPOINT_URL_SQS"] = self.queue_url.partition("/queue/")[0]
        return env


def start_product(  # noqa: PLR0913 - each is of another source
    ground: Ground, service: str, name: str, port: int, env: dict[str, str], plan: Plan, options: Sequence[str] = ()
) -> Child:
    arguments = [service, "--port", str(port), "--counts", str(ground.directory / f"{name}.json"), *options]
    if plan.profile_dir is not None:
        arguments += ["--profile", str((plan.profile_dir / f"{name}.pstats").resolve())]
    return Child("benchmarks.product_process", arguments, env, ground.directory / f"{name}.log")


@asynccontextmanager
async def open_side(
    ground: Ground, path: Path, program: Program, plan: Plan, filled: str | None = None
) -> AsyncIterator[Side]:
    """The processes of one side, and what they call. Each side has a new database, or that with this name.

    A filled database has the numbers of its calls up to `plan.filled_calls`.
    """
    if program.is_peer and not PEERS_PYTHON.exists():
        raise BenchmarkFailed(f"{PEERS_PYTHON} is missing: run `make bench`, or give --without-peers")
    database = filled or f"{path.name}_{''.join(c if c.isalnum() else '_' for c in program.name.lower())}"
    database_url = named(ground.url, database) if filled else await ground.new_database(database)
    async with AsyncExitStack() as stack:
        stub_url, queue_url, servers_cpu_s = "", "", ground.cpu_s
        if path.stub is Stub.PROVIDER:
            stub = open_stub(ground, "provider_stub", f"{database}_provider", *provider_options(plan.seed))
            stub_url = await stack.enter_async_context(stub)
        elif path.stub is Stub.ENGAGE:
            stub_url = await stack.enter_async_context(open_stub(ground, "engage_stub", f"{database}_engage"))
        if program.source is Source.SQS or program.sends_to_sqs:
            queue_url = await stack.enter_async_context(open_stub(ground, "sqs_stub", f"{database}_sqs"))
            queue_url += f"/queue/{'calls' if path.stub is Stub.PROVIDER else 'events'}"
        elif program.source is Source.BROKER:
            broker, queue_url = await stack.enter_async_context(_open_broker(ground, database))
            servers_cpu_s = broker.cpu_s
        setup = Setup(ground, path, program, plan, database, database_url, stub_url, queue_url)
        ports = [free_port() for _ in range(program.processes)]
        children = [setup.start(port, number) for number, port in enumerate(ports)]
        for child in children:
            stack.callback(child.stop)
        if program.is_product or program.source is Source.HTTP:
            for child, port in zip(children, ports, strict=True):
                await child.listens(port)
        connection = await asyncpg.connect(named(ground.url, database))
        stack.push_async_callback(connection.close)
        seeding = Seeding(plan.seed, others=plan.filled_calls if filled else 0)
        work = Work(path, program.source, connection, seeding, queue_url, stub_url, program.sends_to_sqs)
        if program.is_peer:
            work.enqueue = setup.enqueue
        counts = [setup.counts(number) for number in range(program.processes)]
        yield Side(path, program, children, servers_cpu_s, database, ports[0], counts, work)


@asynccontextmanager
async def _open_broker(ground: Ground, database: str) -> AsyncIterator[tuple[Child, str]]:
    port = free_port()
    log = ground.directory / f"{database}_broker.log"
    child = Child("benchmarks.peers.broker", ["--port", str(port)], {}, log, str(PEERS_PYTHON))
    try:
        await child.listens(port)
        yield child, f"redis://127.0.0.1:{port}/0"
    finally:
        child.stop()
