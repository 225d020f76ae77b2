"""The client of the actions, a process of its own: actions, empty answers, round trips and commits in random order."""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import asyncpg
import uvloop

from benchmarks.action_requests import KINDS, ActionKind
from benchmarks.http_load import HEAD_END, post
from benchmarks.stub_server import content_length

EMPTY, ROUND_TRIP, COMMIT = "empty handler", "SELECT 1", "a committed row"
#: A table of the benchmark's own.
COMMITTED = "committed_rows"
#: Laps that are measured at least, on a machine however slow.
LEAST_LAPS = 3
Piece = tuple[int, ActionKind | str, int]


class UnexpectedReply(Exception):
    """An action did not report success."""


class Connection:
    """One keep-alive connection with at most one open request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> bytes:
        """Return the response's body, for any status."""
        self._writer.write(request)
        head = await self._reader.readuntil(HEAD_END)
        return await self._reader.readexactly(content_length(head))

    def close(self) -> None:
        self._writer.close()


def pieces(calls: int, seed: int) -> Iterator[Piece]:
    """Yield (lap, request, number of its call), while there are calls without a request.

    Each lap has every request once, in an order of its own. The empty handler, the round trip and the commit need no
    call.
    """
    dice = random.Random(seed)
    number = 0
    for lap in range(calls // len(KINDS)):
        kinds: list[ActionKind | str] = [*KINDS, EMPTY, ROUND_TRIP, COMMIT]
        dice.shuffle(kinds)
        for kind in kinds:
            number += isinstance(kind, ActionKind)
            yield lap, kind, number


class Client:
    """Sends one request after the other and records the seconds that each took."""

    def __init__(self, product: Connection, empty: Connection, database: Any, seed: int) -> None:
        self._product = product
        self._empty = empty
        self._database = database
        self._seed = seed
        self.took_s: defaultdict[str, list[float]] = defaultdict(list)

    async def run(self, work: Iterator[Piece], warm_laps: int, ends_at: float) -> None:
        for lap, kind, number in work:
            name, took_s = await self._do(kind, number)
            if lap >= warm_laps:
                self.took_s[name].append(took_s)
            if time.perf_counter() >= ends_at and lap >= warm_laps + LEAST_LAPS:
                return

    async def _do(self, kind: ActionKind | str, number: int) -> tuple[str, float]:
        if isinstance(kind, ActionKind):
            request = kind.request(number, self._seed)
            began = time.perf_counter()
            body = await self._product.ask(request)
            took_s = time.perf_counter() - began
            check_reply(kind, body)
            return kind.name, took_s
        request = post("/empty", "", b"{}")
        began = time.perf_counter()
        body = b"{}"
        if kind == EMPTY:
            body = await self._empty.ask(request)
        elif kind == COMMIT:
            await self._database.execute(f"INSERT INTO {COMMITTED} VALUES (1)")
        else:
            await self._database.fetchval("SELECT 1")
        took_s = time.perf_counter() - began
        if body != b"{}":
            raise UnexpectedReply(f"{kind}: {body.decode(errors='replace')[:600]}")
        return kind, took_s

    async def close(self) -> None:
        self._product.close()
        self._empty.close()
        await self._database.close()


def check_reply(kind: ActionKind, body: bytes) -> None:
    """Raises UnexpectedReply unless the action was done."""
    reply = json.loads(body)
    if reply.get("ok") is not True or reply.get("code") != kind.code:
        raise UnexpectedReply(f"{kind.name}: {body.decode(errors='replace')[:600]}")


async def run_load(asked: argparse.Namespace) -> dict[str, list[float]]:
    """Return the times of each action and API, of the empty handler, the round trips and the commits, in seconds."""
    clients = [await _open_client(asked) for _ in range(asked.clients)]
    work = pieces(asked.calls, asked.seed)
    ends_at = time.perf_counter() + asked.seconds
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run(work, asked.warm_laps, ends_at))
    together: defaultdict[str, list[float]] = defaultdict(list)
    for client in clients:
        await client.close()
        for name, took_s in client.took_s.items():
            together[name] += took_s
    return together


async def _open_client(asked: argparse.Namespace) -> Client:
    product = Connection(*await asyncio.open_connection("127.0.0.1", asked.port))
    empty = Connection(*await asyncio.open_connection("127.0.0.1", asked.empty_port))
    return Client(product, empty, await asyncpg.connect(asked.database_url), asked.seed)


def summary(took_s: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(took_s, n=100) if len(took_s) > 1 else took_s * 99
    return {"count": len(took_s), "p50_s": cuts[49], "p99_s": cuts[98]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("port", "empty-port", "clients", "calls", "seed", "warm-laps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--database-url", required=True)
    try:
        together = uvloop.run(run_load(parser.parse_args()))
    except* UnexpectedReply as unexpected:
        sys.exit("\n".join(map(str, unexpected.exceptions)))
    sys.stdout.write(json.dumps({name: summary(took_s) for name, took_s in together.items()}) + "\n")


if __name__ == "__main__":
    main()
