"""Webhooks of 20 KB that arrive at once, each on a connection of its own."""

import asyncio
import time
from collections.abc import Sequence
from itertools import islice

import asyncpg

from benchmarks.child import BenchmarkFailed
from benchmarks.ground import Ground
from benchmarks.http_load import HEAD_END, webhooks
from benchmarks.paths import KEYS, PATHS
from benchmarks.report import table
from benchmarks.results import Section
from benchmarks.running import Plan, start_product
from ringback.up.state import free_port

NAME = "burst"
RECEIVE = next(path for path in PATHS if path.name == "receive")
WEBHOOKS = 1000
#: Retell gets its answers within this time.
WITHIN_S = 3.0
WAITED_S = 60.0

_EXPLANATION = """\
The receiver as its own process. All connections are open before the first byte is sent. Every response is checked, and
every message is in the queue at the end.
"""


async def send_at_once(port: int, requests: Sequence[bytes]) -> tuple[list[int], float]:
    """Open all connections, then send. Returns the statuses and the seconds until the last one."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in requests]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
        writer.write(request)
        head = await reader.readuntil(HEAD_END)
        writer.close()
        return int(head[9:12])

    began = time.perf_counter()
    async with asyncio.timeout(WAITED_S):
        statuses = await asyncio.gather(
            *(ask(*connection, request) for connection, request in zip(opened, requests, strict=True))
        )
    return statuses, time.perf_counter() - began


async def run_burst(ground: Ground, plan: Plan, count: int = WEBHOOKS) -> Section:
    """Raises BenchmarkFailed if a webhook that was answered 2xx is not in the queue."""
    url, port = await ground.new_database(NAME), free_port()
    env = {**KEYS, **RECEIVE.settings, "RINGBACK_DATABASE_URL": url}
    receiver = start_product(ground, RECEIVE.service, NAME, port, env, plan)
    rows, slowest_s, refused = [], 0.0, 0
    try:
        await receiver.listens(port)
        for number in range(plan.rounds):
            requests = list(islice(webhooks(number * count, number), count))
            cpu_s = receiver.cpu_s()
            statuses, took_s = await send_at_once(port, requests)
            accepted = sum(200 <= status < 300 for status in statuses)
            slowest_s, refused = max(slowest_s, took_s), refused + count - accepted
            cpu_s = receiver.cpu_s() - cpu_s
            rows.append((str(number + 1), f"{accepted:,} of {count:,}", f"{took_s:.2f}", f"{cpu_s:.2f}"))
        connection = await asyncpg.connect(url)
        enqueued = await connection.fetchval(RECEIVE.done)
        await connection.close()
        if enqueued < count * plan.rounds - refused:
            raise BenchmarkFailed(f"{enqueued} of {count * plan.rounds - refused} are in the queue")
    finally:
        receiver.stop()
    text = f"{table(rows, ('round', 'answered 2xx', 'last after s', 'CPU s'))}\n\n{_EXPLANATION}"
    figures = {"burst.slowest_s": slowest_s, "burst.refused": float(refused)}
    return Section(f"{count:,} webhooks at once", text, figures)
