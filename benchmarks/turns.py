"""One side of a path, product or floor: its process and database, and one turn of load on them."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as File
from typing import Any

from benchmarks.child import ROOT, BenchmarkFailed, Child
from benchmarks.ground import Ground
from benchmarks.paths import Path
from benchmarks.results import Round, SideResult, steady_rate
from benchmarks.seeding import Seeding

CONNECTIONS = 32
WARM_S = 0.5
POLL_S = 0.05
#: A turn that takes this much longer than it should is given up.
GIVE_UP_S = 60.0
SMALLEST_FILLING, LARGEST_FILLING = 300, 4000
#: The first handful makes a process import and connect what it needs; the second tells its pace.
FIRST_FILLING = 30

_LEFT = "SELECT count(*) FROM queue_messages WHERE queue = $1 AND dead_at IS NULL"
_UNDELIVERED = "SELECT count(*) FROM outbox WHERE kind = 'call_message' AND delivered_at IS NULL AND dead_at IS NULL"


@dataclass(slots=True)
class Side:
    """`connection` is the benchmark's own; what it commits (`own_commits`) is not the side's."""

    path: Path
    child: Child
    ground: Ground
    database: str
    port: int
    counts: File
    connection: Any
    seeding: Seeding
    rounds: list[Round]
    resident_bytes: int = 0
    handled: int = 0
    own_commits: int = 0

    async def warm_up(self, seconds: float) -> None:
        if self.path.fill is None:
            await self._http_turn(min(1.0, seconds))
        else:
            await self._queue_turn(FIRST_FILLING)
            self.rounds.append(await self._queue_turn(SMALLEST_FILLING))

    async def turn(self, seconds: float) -> None:
        if self.path.fill is None:
            self.rounds.append(await self._http_turn(seconds))
        else:
            wanted = round(self.rounds[-1].rate * seconds)
            self.rounds.append(await self._queue_turn(max(SMALLEST_FILLING, min(LARGEST_FILLING, wanted))))
        self.resident_bytes = self.child.resident_bytes()

    async def finish(self) -> SideResult:
        await self.connection.close()
        self.child.stop()
        commits = await self.ground.commits(self.database) - self.own_commits
        # A filled path's first round only told the pace.
        rounds = self.rounds if self.path.fill is None else self.rounds[1:]
        calls = json.loads(self.counts.read_text())
        return SideResult(rounds, self.resident_bytes, calls, commits, self.handled)

    async def _http_turn(self, seconds: float) -> Round:
        cpu_s = self._cpu_s()
        loaded = await self._load(seconds)
        if loaded["refused"]:
            raise BenchmarkFailed(f"{self.path.name}: {loaded['refused']} requests refused:\n{self.child.tail()}")
        await self._until_zero(_UNDELIVERED)
        # CPU is read first: checking is not the side's work.
        used = self._cpu_since(cpu_s)
        self.handled += loaded["answered"]
        await self._check_done()
        p50_ms, p99_ms = loaded["p50_s"] * 1000, loaded["p99_s"] * 1000
        return Round(loaded["answered"], loaded["rate"], *used, p50_ms, p99_ms)

    async def _load(self, seconds: float) -> dict[str, Any]:
        """Runs the client as a process of its own; it ends by itself."""
        numbers = {
            "port": self.port,
            "connections": CONNECTIONS,
            "warm-s": WARM_S,
            "seconds": seconds,
            "first": self.handled,
            "seed": self.seeding.seed,
        }
        arguments = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.http_load", self.path.name, *arguments, cwd=ROOT, stdout=-1
        )
        try:
            async with asyncio.timeout(WARM_S + seconds + GIVE_UP_S):
                output, _ = await client.communicate()
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        if client.returncode != 0:
            raise BenchmarkFailed(f"{self.path.name}: the client ended with {client.returncode}")
        result: dict[str, Any] = json.loads(output)
        return result

    async def _queue_turn(self, filling: int) -> Round:
        assert self.path.fill is not None, "a path without a filling is driven over HTTP"
        # The database's clock is this machine's; the fillings' rows are not measured by it.
        began: datetime = await self._ask("SELECT clock_timestamp()")
        cpu_s = self._cpu_s()
        filled = await self.path.fill(self.seeding, self.connection, filling)
        self.own_commits += 1
        samples = await self._drained(filled)
        used = self._cpu_since(cpu_s)
        self.handled += filled
        await self._check_done()
        waits = await self._ask(self.path.waits, began) if self.path.waits else (None, None)
        p50_ms, p99_ms = (None if wait is None else wait * 1000 for wait in waits)
        return Round(filled, steady_rate(samples), *used, p50_ms, p99_ms)

    async def _drained(self, filled: int) -> list[tuple[float, int]]:
        """(time, how many had left the queue) until all had."""
        samples = [(time.perf_counter(), 0)]
        give_up_at = samples[0][0] + GIVE_UP_S
        while samples[-1][1] < filled:
            await asyncio.sleep(POLL_S)
            left = await self._ask(_LEFT, self.path.queue)
            samples.append((time.perf_counter(), filled - left))
            self._go_on_until(give_up_at)
        return samples

    async def _check_done(self) -> None:
        """An answer, or an emptied queue, counts only with the rows that it stands for."""
        done = await self._ask(self.path.done)
        if done != self.handled:
            raise BenchmarkFailed(f"{self.path.name}: {done} of {self.handled} were done:\n{self.child.tail()}")

    async def _until_zero(self, statement: str) -> None:
        give_up_at = time.perf_counter() + GIVE_UP_S
        while await self._ask(statement):
            self._go_on_until(give_up_at)
            await asyncio.sleep(POLL_S)

    def _go_on_until(self, give_up_at: float) -> None:
        self.child.check()
        if time.perf_counter() > give_up_at:
            raise BenchmarkFailed(f"{self.path.name}: not done within {GIVE_UP_S:g} s:\n{self.child.tail()}")

    async def _ask(self, statement: str, *arguments: object) -> Any:
        self.own_commits += 1
        return await self.connection.fetchval(statement, *arguments)

    def _cpu_s(self) -> tuple[float, float]:
        return self.child.cpu_s(), self.ground.cpu_s()

    def _cpu_since(self, before: tuple[float, float]) -> tuple[float, float]:
        process_s, postgres_s = self._cpu_s()
        return process_s - before[0], postgres_s - before[1]
