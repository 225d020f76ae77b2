"""I12: whatever the queue does, the receiver says 2xx only for what is in it, else 5xx within three seconds."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

import aiohttp

from proof.findings import Findings
from proof.invariants import Invariant
from proof.surroundings.ground import Ground
from proof.surroundings.town import RETELL_KEYS
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.retell.signature import sign
from ringback.batching import Send, send_through
from ringback.domain.errors import QueueUnavailable
from ringback.ports import OutgoingMessage
from ringback.services.webhook_lambda import webhook_ports
from ringback.services.webhook_receiver import create_receiver
from ringback.telemetry import make_metrics
from ringback.web.server import listen, serve_http

I12 = Invariant.I12
KEY = RETELL_KEYS["RETELL_WEBHOOK_KEY"]
LIMIT_S = 3.0
#: What the machine may add to an answer, for each runnable process that waits for one of its cores.
LOADED_S = 1.5

#: Longer than the receiver waits for a send.
HANG_S = 3.0
#: What the queue does with one send.
FAULTS = (*["takes"] * 5, "is_down", "refuses", "hangs", "takes_then_hangs", "takes_then_fails", "is_slow")


@dataclass(frozen=True, slots=True)
class Posted:
    name: str
    status: int
    took_s: float


class FaultyQueue(PostgresQueue):
    """The queue in the database, which does at each send what is drawn for it."""

    def __init__(self, pool: Pool, name: str, rng: Random) -> None:
        super().__init__(pool, name)
        self.met: list[str] = []
        self._rng = rng

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        fault = self._rng.choice(FAULTS)
        self.met.append(fault)
        if fault == "is_down":
            raise QueueUnavailable("planned")
        if fault == "refuses":
            return [0, *await super().send(messages[1:])] if len(messages) > 1 else [0]
        if fault == "hangs":
            await asyncio.sleep(HANG_S)
        if fault == "is_slow":
            await asyncio.sleep(self._rng.uniform(0.1, 1.0))
        refused = await super().send(messages)
        if fault == "takes_then_hangs":
            await asyncio.sleep(HANG_S)
        if fault == "takes_then_fails":
            raise QueueUnavailable("the answer was lost")
        return refused


def webhook(name: str) -> bytes:
    """Signed by the right key, about a call that nobody here has placed."""
    return json.dumps({"event": "call_ended", "call": {"call_id": name}}).encode()


async def post(session: aiohttp.ClientSession, url: str, name: str) -> Posted:
    """Status 0: no answer at all."""
    body, began = webhook(name), time.monotonic()
    headers = {"x-retell-signature": sign(body, KEY, int(time.time() * 1000)), "content-type": "application/json"}
    try:
        async with session.post(url, data=body, headers=headers) as answer:
            return Posted(name, answer.status, time.monotonic() - began)
    except (aiohttp.ClientError, TimeoutError):
        return Posted(name, 0, time.monotonic() - began)


def judge_posts(found: Findings, posted: Sequence[Posted], durable: set[str] | None, reproduce: str) -> None:
    """`durable`: what is in the queue, or came out of it; None: not known, then only the time is judged."""
    found.tried(I12, cases=len(posted))
    limit_s = LIMIT_S + LOADED_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    for one in posted:
        accepted = 200 <= one.status < 300
        if accepted and durable is not None and one.name not in durable:
            found.broke(I12, f"{one.name} was answered {one.status} and is not in the queue", reproduce)
        if not accepted and not 500 <= one.status < 600:
            found.broke(I12, f"{one.name} was answered {one.status}", reproduce)
        if one.took_s > limit_s:
            found.broke(I12, f"{one.name} was answered after {one.took_s:.1f} s", reproduce)
    _count(found, posted, limit_s)


def _count(found: Findings, posted: Sequence[Posted], limit_s: float) -> None:
    def before(name: str) -> float:
        return float(str(found.counts.get(name, 0)))

    accepted = sum(200 <= one.status < 300 for one in posted)
    slowest_s = max((one.took_s for one in posted), default=0.0)
    found.counts |= {
        "webhooks_accepted": int(before("webhooks_accepted")) + accepted,
        "webhooks_refused": int(before("webhooks_refused")) + len(posted) - accepted,
        "webhook_answer_limit_s": max(round(limit_s, 1), before("webhook_answer_limit_s")),
        "slowest_webhook_answer_s": max(round(slowest_s, 2), before("slowest_webhook_answer_s")),
    }


async def names_in(pool: Pool) -> set[str]:
    rows = await pool.fetch("SELECT body FROM queue_messages")
    return {json.loads(json.loads(row["body"])["body"])["call"]["call_id"] for row in rows}


async def run_receiver(ground: Ground, found: Findings, count: int, seed: int) -> None:
    await _trial(ground, found, count, seed, lambda send, queue: send)


async def plant_hasty_receiver(ground: Ground, found: Findings, seed: int) -> None:
    """A receiver that answers first and sends afterwards: the same oracle must see what was lost."""

    def hasty(send: Send, queue: FaultyQueue) -> Send:
        later: set[asyncio.Task[None]] = set()

        async def try_once(body: str) -> None:
            try:
                await queue.send([OutgoingMessage(body)])
            except QueueUnavailable:
                return

        async def send_later(body: str) -> None:
            later.add(asyncio.create_task(try_once(body)))

        return send_later

    seen = Findings("planted", seed)
    await _trial(ground, seen, 20, seed, hasty)
    found.plant("the receiver answers before the queue has the message", bool(seen.violations), I12)


async def _trial(
    ground: Ground, found: Findings, count: int, seed: int, around: Callable[[Send, FaultyQueue], Send]
) -> None:
    async with AsyncExitStack() as stack:
        pool = await open_pool(await ground.database("receiver"), max_size=8)
        stack.callback(pool.terminate)
        queue = FaultyQueue(pool, "events", Random(f"{seed} receiver"))
        send = around(send_through(queue), queue)
        bound, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
        app = create_receiver(webhook_ports([KEY]), lambda: int(time.time() * 1000), send, make_metrics())
        serving = asyncio.create_task(serve_http(app, bound, stop, ready))
        await ready.wait()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/retell/webhook"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            posted = await asyncio.gather(
                *(_late(session, url, number, seed, max(2.5, count / 16)) for number in range(count))
            )
        judge_posts(
            found, posted, await names_in(pool), f"seed {seed}, {count} webhooks, faults {sorted(set(queue.met))}"
        )
        stop.set()
        await serving


async def _late(session: aiohttp.ClientSession, url: str, number: int, seed: int, within_s: float) -> Posted:
    """Spread, so that they do not all share one send."""
    await asyncio.sleep(Random(f"{seed} late {number}").uniform(0, within_s))
    return await post(session, url, f"probe-{number}")
