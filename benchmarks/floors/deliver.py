"""Floor of delivering events: up to a hundred taken at once, signed, posted 50 at once, marked in one statement."""

import asyncio
import base64
import hashlib
import hmac
import json
import signal
import time
from typing import Any

import aiohttp
import uvloop

from benchmarks.floors.arguments import read_arguments
from benchmarks.floors.queue_calls import open_floor_pool
from benchmarks.payloads import ENGAGE_SECRET

IN_FLIGHT = 50
IDLE_S = 0.1

_TAKE = """
WITH taken AS (
    SELECT id FROM outbox WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL AND due_at <= now()
    ORDER BY due_at, id LIMIT 100 FOR UPDATE SKIP LOCKED)
UPDATE outbox SET due_at = now() + interval '60 s', tries = tries + 1 FROM taken WHERE outbox.id = taken.id
RETURNING outbox.id, message_id, payload::text
"""
_DELIVERED = "UPDATE outbox SET delivered_at = now() WHERE id = ANY($1::bigint[])"
_KEY = base64.b64decode(ENGAGE_SECRET.removeprefix("whsec_"))


async def deliver(session: aiohttp.ClientSession, url: str, row: Any) -> None:
    body, moment = row["payload"].encode(), str(int(time.time()))
    digest = hmac.new(_KEY, f"{row['message_id']}.{moment}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/cloudevents+json",
        "webhook-id": row["message_id"],
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    async with session.post(url, data=body, headers=headers) as response:
        response.raise_for_status()
        await response.read()


async def run() -> None:
    asked = read_arguments(__doc__)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await open_floor_pool(asked.database_url)
    url = f"{asked.provider_url}/abt-events"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        while not stop.is_set():
            async with pool.acquire() as connection:
                rows = await connection.fetch(_TAKE)
            if not rows:
                await asyncio.sleep(IDLE_S)
                continue
            await asyncio.gather(*(deliver(session, url, row) for row in rows))
            async with pool.acquire() as connection:
                await connection.execute(_DELIVERED, [row["id"] for row in rows])
    asked.counts.write_text(json.dumps({}))
    pool.terminate()


if __name__ == "__main__":
    uvloop.run(run())
