"""The usual way to apply events: ten messages of SQS at once, one transaction for each, each deleted by itself."""

import asyncio
import hashlib
import json
import signal
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.floors.arguments import read_arguments

IN_FLIGHT = 10

_STATES = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "analyzed"}
_LOCK = "SELECT state FROM attempts WHERE attempt_id = $1 FOR UPDATE"
_RECORD = """
INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
VALUES ($1, $2, $3, $4, $5, $6, 'applied', $7) ON CONFLICT DO NOTHING
"""
_ADVANCE = (
    "UPDATE attempts SET state = $2, transcript = $3, recording_url = $4, holds_slot = false WHERE attempt_id = $1"
)
_EVENT = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
VALUES ('abt_event', $1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING
"""


async def apply(pool: Any, text: str) -> None:
    body = json.loads(text)["body"]
    webhook = json.loads(body)
    event, call, now = webhook["event"], webhook["call"], datetime.now(UTC)
    attempt_id, call_id = call["metadata"]["ringback_attempt_id"], call["metadata"]["ringback_call_id"]
    content_hash = hashlib.sha256(body.encode()).digest()
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.fetchrow(_LOCK, attempt_id)
            await connection.execute(_RECORD, call["call_id"], event, content_hash, now, attempt_id, call_id, body)
            transcript = call["transcript"], call.get("recording_url")
            await connection.execute(_ADVANCE, attempt_id, _STATES[event], *transcript)
            outcome = {"type": event, "call_id": call_id, "provider_call_id": call["call_id"]}
            await connection.execute(_EVENT, attempt_id + event, f"call:{call_id}", call_id, json.dumps(outcome), now)


async def run() -> None:
    asked = read_arguments(__doc__)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await asyncpg.create_pool(asked.database_url, min_size=1, max_size=24)
    config = AioConfig(max_pool_connections=IN_FLIGHT * 2)
    endpoint = asked.queue_url.rpartition("/")[0]
    async with get_session().create_client("sqs", region_name="us-east-1", endpoint_url=endpoint, config=config) as sqs:

        async def process(message: dict[str, Any]) -> None:
            await apply(pool, message["Body"])
            await sqs.delete_message(QueueUrl=asked.queue_url, ReceiptHandle=message["ReceiptHandle"])

        while not stop.is_set():
            received = await sqs.receive_message(
                QueueUrl=asked.queue_url, MaxNumberOfMessages=IN_FLIGHT, WaitTimeSeconds=1
            )
            await asyncio.gather(*map(process, received.get("Messages", [])))
    pool.terminate()


if __name__ == "__main__":
    uvloop.run(run())
