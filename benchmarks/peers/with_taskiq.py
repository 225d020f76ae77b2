"""Taskiq places calls: one process, asynchronous tasks, the provider's SDK. Nothing is written down."""

import asyncio
import signal
from typing import Any

import httpx
import uvloop
from retell import AsyncRetell, DefaultAioHttpClient
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.floors.arguments import read_arguments
from benchmarks.peers.create_request import IN_FLIGHT, PROVIDER_KEY, TIMEOUT_S, create_request


async def run() -> None:
    asked = read_arguments(__doc__)
    # The run pauses this process between its turns, for longer than a read may take by default.
    broker = RedisStreamBroker(asked.queue_url, consumer_id="0", socket_timeout=None)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    http_client = DefaultAioHttpClient(timeout=TIMEOUT_S, limits=limits)
    client = AsyncRetell(api_key=PROVIDER_KEY, base_url=asked.provider_url, max_retries=0, http_client=http_client)

    @broker.task(task_name="place")
    async def place(request: dict[str, Any]) -> None:
        await client.call.create_phone_call(**request)

    await broker.startup()
    if asked.enqueue is not None:
        for number in range(asked.first, asked.first + asked.enqueue):
            await place.kiq(create_request(number))
    else:
        receiver = asyncio.create_task(run_receiver_task(broker, max_async_tasks=IN_FLIGHT))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, receiver.cancel)
        await asyncio.wait([receiver])
    await client.close()
    await broker.shutdown()


if __name__ == "__main__":
    uvloop.run(run())
