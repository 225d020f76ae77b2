"""One side of a path: its processes and database, and one turn of load on them."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path as File
from typing import Any

from benchmarks.child import ROOT, BenchmarkFailed, Child
from benchmarks.ground import Ground
from benchmarks.paths import Path, Program, Source
from benchmarks.results import Round, SideResult, steady_rate
from benchmarks.work import Work

CONNECTIONS = 32
WARM_S = 0.5
POLL_S = 0.05
#: A turn without progress for this long is given up.
GIVE_UP_S = 60.0
SMALLEST_FILLING, LARGEST_FILLING = 300, 4000
#: The first handful makes a process import and connect what it needs; the second tells its pace.
FIRST_FILLING = 30


@dataclass(slots=True)
class Side:
    """`servers_cpu_s` reads the CPU seconds of PostgreSQL or of the broker."""

    path: Path
    program: Program
    children: Sequence[Child]
    servers_cpu_s: Callable[[], float]
    database: str
    port: int
    counts: Sequence[File]
    work: Work
    rounds: list[Round] = field(default_factory=list)
    resident_bytes: int = 0
    handled: int = 0

    async def warm_up(self, seconds: float) -> None:
        if self.program.source is Source.HTTP:
            await self._http_turn(min(1.0, seconds))
        else:
            await self._queue_turn(FIRST_FILLING, is_first=True)
            self.rounds.append(await self._queue_turn(SMALLEST_FILLING))

    async def turn(self, seconds: float) -> None:
        if self.program.source is Source.HTTP:
            self.rounds.append(await self._http_turn(seconds))
        else:
            wanted = round(self.rounds[-1].rate * seconds)
            self.rounds.append(await self._queue_turn(max(SMALLEST_FILLING, min(LARGEST_FILLING, wanted))))
        self.resident_bytes = sum(child.resident_bytes() for child in self.children)

    async def finish(self, ground: Ground) -> SideResult:
        await self.work.connection.close()
        for child in self.children:
            child.stop()
        # A filled path's first round only told the pace.
        rounds = self.rounds if self.program.source is Source.HTTP else self.rounds[1:]
        written = [json.loads(file.read_text()) for file in self.counts if file.exists()]
        calls = sum(map(Counter, written), Counter[str]()) if written else None
        return SideResult(
            rounds,
            self.resident_bytes,
            calls,
            self.handled,
            await ground.updates(self.database),
        )

    async def _http_turn(self, seconds: float) -> Round:
        cpu_s = self._cpu_s()
        before = await self.work.written()
        loaded = await self._load(seconds)
        if loaded["refused"]:
            raise BenchmarkFailed(f"{self._name()}: {loaded['refused']} requests refused:\n{self._tails()}")
        give_up_at = time.perf_counter() + GIVE_UP_S
        while await self.work.unsent():
            self._go_on_until(give_up_at)
            await asyncio.sleep(POLL_S)
        # CPU is read first: checking is not the side's work.
        used = self._cpu_since(cpu_s)
        wal_bytes, commits = await self._written_since(before)
        self.handled += loaded["answered"]
        await self._check_done()
        p50_ms, p99_ms = loaded["p50_s"] * 1000, loaded["p99_s"] * 1000
        return Round(loaded["answered"], loaded["rate"], *used, wal_bytes, p50_ms, p99_ms, commits)

    async def _load(self, seconds: float) -> dict[str, Any]:
        """Runs the client as a process of its own; it ends by itself."""
        numbers = {
            "port": self.port,
            "connections": CONNECTIONS,
            "warm-s": WARM_S,
            "seconds": seconds,
            "first": self.handled,
            "seed": self.work.seeding.seed,
        }
        arguments = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
        output = await run_to_end(["benchmarks.http_load", self.path.name, *arguments], WARM_S + seconds + GIVE_UP_S)
        result: dict[str, Any] = json.loads(output)
        return result

    async def _queue_turn(self, filling: int, *, is_first: bool = False) -> Round:
        # The database's clock is this machine's; the fillings' rows are not measured by it.
        began: datetime = await self.work.ask("SELECT clock_timestamp()")
        # Work that is not put in by one commit would arrive slower than it is done, and its producer would take CPU.
        takes_time = self.program.source is not Source.TABLE
        if takes_time:
            self._pause()
        cpu_s = self._cpu_s()
        filled = await self.work.fill(filling)
        if takes_time:
            cpu_s = self._cpu_s()
            for child in self.children:
                child.go_on()
        before = await self.work.written()
        samples = await self._drained(filled)
        used = self._cpu_since(cpu_s)
        wal_bytes, commits = await self._written_since(before)
        if self.program.is_peer:
            # Hundreds of threads that poll would take CPU from the other sides.
            self._pause()
        self.handled += filled
        if is_first:
            # A process that still imports may defer a call, because its clock seems to be wrong. Nothing is measured.
            self.handled = await self.work.done()
        await self._check_done()
        waits = await self.work.ask(self.path.waits, began) if self.path.waits else None
        p50_ms, p99_ms = (None if wait is None else wait * 1000 for wait in waits or (None, None))
        return Round(filled, steady_rate(samples), *used, wal_bytes, p50_ms, p99_ms, commits)

    def _pause(self) -> None:
        for child in self.children:
            child.pause()

    async def _drained(self, filled: int) -> list[tuple[float, int]]:
        """Return samples of (time in s, how many had left the queue), until all had."""
        samples = [(time.perf_counter(), 0)]
        give_up_at = samples[0][0] + GIVE_UP_S
        while samples[-1][1] < filled:
            await asyncio.sleep(POLL_S)
            left = await self.work.left()
            samples.append((time.perf_counter(), filled - left))
            if samples[-1][1] > samples[-2][1]:
                give_up_at = samples[-1][0] + GIVE_UP_S
            self._go_on_until(give_up_at)
        return samples

    async def _check_done(self) -> None:
        """An answer, or an emptied queue, counts only with the rows that it stands for."""
        done = await self.work.done()
        if done != self.handled:
            raise BenchmarkFailed(f"{self._name()}: {done} of {self.handled} were done:\n{self._tails()}")

    def _go_on_until(self, give_up_at: float) -> None:
        for child in self.children:
            child.check()
        if time.perf_counter() > give_up_at:
            raise BenchmarkFailed(f"{self._name()}: not done within {GIVE_UP_S:g} s:\n{self._tails()}")

    def _name(self) -> str:
        return f"{self.path.name}, {self.program.name}"

    def _tails(self) -> str:
        return "\n".join(child.tail() for child in self.children)

    async def _written_since(self, before: tuple[int, int]) -> tuple[int, int | None]:
        wal_bytes, transactions = await self.work.written()
        has_all = self.program.source is not Source.BROKER and not self.work.sends_to_sqs
        return wal_bytes - before[0], transactions - before[1] if has_all else None

    def _cpu_s(self) -> tuple[float, float]:
        return sum(child.cpu_s() for child in self.children), self.servers_cpu_s()

    def _cpu_since(self, before: tuple[float, float]) -> tuple[float, float]:
        process_s, servers_s = self._cpu_s()
        return process_s - before[0], servers_s - before[1]


async def run_to_end(command: Sequence[str], within_s: float, python: str = sys.executable) -> bytes:
    """Run a module with arguments. Returns what it printed. Raises BenchmarkFailed."""
    process = await asyncio.create_subprocess_exec(python, "-m", *command, cwd=ROOT, stdout=-1, stderr=-1)
    try:
        async with asyncio.timeout(within_s):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise BenchmarkFailed(f"{command[0]} ended with {process.returncode}: {errors.decode().strip()[-1500:]}")
    return output
