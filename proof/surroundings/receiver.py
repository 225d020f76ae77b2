"""I12: under any fault of the queue the receiver answers 2xx only for what is in it, else 5xx within three seconds."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import aiohttp

from proof.findings import Findings
from proof.harness.databases import Databases
from proof.harness.processes import RETELL_KEYS
from proof.invariants import Invariant
from proof.surroundings.chaotic_queue import BAD_SENDS, ChaoticQueue
from proof.surroundings.judging import judge_posts
from proof.surroundings.load import Posted, call_id_in, signed_webhook
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.batching import Send, send_through
from ringback.domain.errors import QueueUnavailable
from ringback.ports import OutgoingMessage
from ringback.services.webhook_lambda import webhook_ports
from ringback.services.webhook_receiver import create_receiver
from ringback.telemetry import make_metrics
from ringback.web.server import listen, serve_http

I12 = Invariant.I12
KEY = RETELL_KEYS["RETELL_WEBHOOK_KEY"]


async def receive(
    databases: Databases,
    found: Findings,
    count: int,
    around: Callable[[Send, ChaoticQueue], Send] = lambda send, queue: send,
) -> None:
    seed = found.seed
    async with databases.pool("receiver") as pool:
        queue = ChaoticQueue(PostgresQueue(pool, "events"), Random(f"{seed} receiver"), BAD_SENDS)
        send = around(send_through(queue), queue)
        bound, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
        app = create_receiver(webhook_ports([KEY]), lambda: int(time.time() * 1000), send, make_metrics())
        serving = asyncio.create_task(serve_http(app, bound, stop, ready))
        await ready.wait()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/retell/webhook"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            posted = await asyncio.gather(
                *(_post_late(session, url, number, seed, max(2.5, count / 16)) for number in range(count))
            )
        rows = await pool.fetch("SELECT body FROM queue_messages")
        durable = {call_id_in(json.loads(row["body"])["body"]) for row in rows}
        judge_posts(found, posted, durable, f"seed {seed}, {count} webhooks, {queue.faults} faults")
        stop.set()
        await serving


async def receive_hastily(databases: Databases, found: Findings) -> None:
    """A receiver that answers first and sends afterwards."""

    def hasty(_: Send, queue: ChaoticQueue) -> Send:
        later: set[asyncio.Task[None]] = set()

        async def try_once(message: OutgoingMessage) -> None:
            with suppress(QueueUnavailable):
                await queue.send([message])

        async def send_later(message: OutgoingMessage) -> None:
            later.add(asyncio.create_task(try_once(message)))

        return send_later

    await receive(databases, found, 20, hasty)


async def _post_late(session: aiohttp.ClientSession, url: str, number: int, seed: int, within_s: float) -> Posted:
    """Spread over the time: one send of the queue has few of them."""
    await asyncio.sleep(Random(f"{seed} late {number}").uniform(0, within_s))
    name, began = f"probe-{number}", time.monotonic()
    body, headers = signed_webhook(name, KEY)
    try:
        async with session.post(url, data=body, headers=headers) as answer:
            return Posted(name, answer.status, time.monotonic() - began)
    except (aiohttp.ClientError, TimeoutError):
        return Posted(name, 0, time.monotonic() - began)
