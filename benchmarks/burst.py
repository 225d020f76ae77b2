"""`python -m benchmarks.burst`: webhooks of 20 KB that arrive at once, each on a connection of its own."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import islice

import asyncpg

from benchmarks.child import BenchmarkFailed, Child, free_port
from benchmarks.ground import Ground, open_ground
from benchmarks.http_load import HEAD_END, webhooks
from benchmarks.paths import KEYS, PATHS

RECEIVE = next(path for path in PATHS if path.name == "receive")
#: Retell gets its answers within this time.
WITHIN_S = 3.0
WAITED_S = 60.0


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


async def run(ground: Ground, count: int, rounds: int) -> bool:
    """Print a line a round. Returns whether all were answered 2xx in time, and are in the queue."""
    await ground.prepare()
    url, port = await ground.new_database("burst"), free_port()
    env = {**KEYS, **RECEIVE.settings, "RINGBACK_DATABASE_URL": url}
    arguments = [RECEIVE.service, "--port", str(port), "--counts", str(ground.directory / "burst.json")]
    receiver = Child("benchmarks.product_process", arguments, env, ground.directory / "burst.log")
    in_time = True
    try:
        await receiver.listens(port)
        for number in range(rounds):
            requests = list(islice(webhooks(number * count, number), count))
            cpu_s = receiver.cpu_s()
            statuses, took_s = await send_at_once(port, requests)
            accepted = sum(200 <= status < 300 for status in statuses)
            in_time = in_time and accepted == count and took_s <= WITHIN_S
            cpu_s = receiver.cpu_s() - cpu_s
            sys.stdout.write(
                f"{count} at once: {accepted} answered 2xx, the last after {took_s:.2f} s, CPU {cpu_s:.2f} s\n"
            )
        connection = await asyncpg.connect(url)
        enqueued = await connection.fetchval(RECEIVE.done)
        await connection.close()
        if enqueued != count * rounds:
            raise BenchmarkFailed(f"{enqueued} of {count * rounds} are in the queue")
    finally:
        receiver.stop()
    return in_time


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.burst", description=__doc__)
    parser.add_argument("--webhooks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    try:
        with open_ground() as ground:
            return 0 if asyncio.run(run(ground, asked.webhooks, asked.rounds)) else 1
    except BenchmarkFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
