"""The latency of placing at a fixed rate, and of a lone call, beside the provider's own latency."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg

from benchmarks.child import BenchmarkFailed, Child
from benchmarks.ground import Ground
from benchmarks.paths import KEYS, PATHS
from benchmarks.peers.create_request import create_request
from benchmarks.report import number, table
from benchmarks.results import Figures, Section
from benchmarks.running import Plan, open_stub, provider_options, start_product
from benchmarks.seeding import Seeding, call_message, ids_of
from ringback.up.state import free_port

NAME = "latency"
PLACE = next(path for path in PATHS if path.name == "place")
RATE = 100
#: Long enough for the call before a lone one to end.
LONE_EVERY_S = 0.3
LONE = 30
#: A run without progress for this long is given up.
GIVE_UP_S = 60.0

_SEND = """
WITH sent AS (
    INSERT INTO queue_messages (queue, body, sent_at, visible_at)
    VALUES ('calls', $1, clock_timestamp(), clock_timestamp()))
SELECT pg_notify('ringback_queue_calls', '')
"""
_ANSWERED = """
SELECT call_id, claimed_at, outbox.created_at AS answered_at FROM attempts JOIN outbox USING (call_id)
WHERE outbox.kind = 'abt_event' AND call_id = ANY($1::text[])
"""
_EXPLANATION = f"""\
The call processor as its own process, against a provider that responds after 50 ms. "Queued" counts from the moment
before the message is put into the embedded queue, "claimed" from the claim, both until the answer is recorded with its
event. "Provider" is the same request through bare aiohttp at the same rate, without a queue and a database.
Lone calls come every {LONE_EVERY_S:g} s.
"""
_HEADER = ("load", "from", "calls", "p50 ms", "p99 ms", "p50 over provider", "p99 over provider")

Times = tuple[float, float]


async def at_rate(send: Callable[[int], Coroutine[Any, Any, None]], count: int, every_s: float) -> None:
    """Begin `send` for each number from 0 on at its moment, whether the earlier ones have ended or not."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for position in range(count):
            await asyncio.sleep(max(0.0, began + position * every_s - time.perf_counter()))
            group.create_task(send(position))


def p50_p99_ms(seconds: Sequence[float]) -> Times:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


async def provider_alone(url: str, count: int, every_s: float) -> Times:
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def create(position: int) -> None:
            began = time.perf_counter()
            async with session.post(f"{url}/v2/create-phone-call", json=create_request(position)) as response:
                json.loads(await response.read())
            took.append(time.perf_counter() - began)

        await at_rate(create, count, every_s)
    return p50_p99_ms(took)


class Product:
    """A processor with `count` dispatched calls, whose messages are still to be sent."""

    def __init__(self, pool: Any, child: Child, first: int) -> None:
        self._pool = pool
        self._child = child
        self._next = first

    async def take(self, count: int, every_s: float) -> Mapping[str, Times]:
        """Send `count` messages at a fixed rate. Returns p50 and p99 by where the time begins."""
        first, self._next = self._next, self._next + count
        sent_at: dict[str, datetime] = {}

        async def send(position: int) -> None:
            call_id = ids_of(first + position).call_id
            sent_at[call_id] = datetime.now(UTC)
            await self._pool.execute(_SEND, call_message(first + position))

        await at_rate(send, count, every_s)
        progress_at, before = time.perf_counter(), 0
        while len(rows := await self._pool.fetch(_ANSWERED, list(sent_at))) < count:
            self._child.check()
            if len(rows) > before:
                progress_at, before = time.perf_counter(), len(rows)
            if time.perf_counter() > progress_at + GIVE_UP_S:
                raise BenchmarkFailed(f"{NAME}: {len(rows)} of {count} calls were placed:\n{self._child.tail()}")
            await asyncio.sleep(0.1)
        queued = [(row["answered_at"] - sent_at[row["call_id"]]).total_seconds() for row in rows]
        claimed = [(row["answered_at"] - row["claimed_at"]).total_seconds() for row in rows]
        return {"queued": p50_p99_ms(queued), "claimed": p50_p99_ms(claimed)}


async def run_latency(ground: Ground, plan: Plan) -> Section:
    url, port = await ground.new_database(NAME), free_port()
    count, lone = round(RATE * 3 * plan.seconds), min(LONE, round(10 * plan.seconds))
    warm = RATE
    rows: list[tuple[str, ...]] = []
    figures: Figures = {}
    async with open_stub(ground, "provider_stub", f"{NAME}_provider", *provider_options(plan.seed)) as provider_url:
        env = {**KEYS, **PLACE.settings, "RINGBACK_DATABASE_URL": url, "RETELL_BASE_URL": provider_url}
        child = start_product(ground, PLACE.service, NAME, port, env, plan)
        pool = await asyncpg.create_pool(url, min_size=2, max_size=8)
        try:
            await child.listens(port)
            async with pool.acquire() as connection:
                await Seeding(plan.seed).due_calls_on_sqs(connection, warm + count + lone)
            product = Product(pool, child, 1)
            await product.take(warm, 1 / RATE)
            for load, calls, every_s in ((f"{RATE}/s", count, 1 / RATE), ("lone", lone, LONE_EVERY_S)):
                alone = await provider_alone(provider_url, calls, every_s)
                rows.append((load, "provider", str(calls), number(alone[0], 1), number(alone[1], 1), "", ""))
                for start, times in (await product.take(calls, every_s)).items():
                    over = [time - own for time, own in zip(times, alone, strict=True)]
                    rows.append((load, start, str(calls), *(number(each, 1) for each in (*times, *over))))
                    name = f"{NAME}.{'rate' if every_s < LONE_EVERY_S else 'lone'}.{start}"
                    figures |= {f"{name}.p50_over_ms": over[0], f"{name}.p99_over_ms": over[1]}
        finally:
            child.stop()
            pool.terminate()
    return Section("Latency of placing", f"{table(rows, _HEADER)}\n\n{_EXPLANATION}", figures)
