"""PgQueuer places calls: one process, asynchronous jobs, the provider's SDK, one row written for each answer."""

import asyncio
import json
import signal

import asyncpg
import httpx
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from retell import AsyncRetell, DefaultAioHttpClient

from benchmarks.floors.arguments import read_arguments
from benchmarks.peers.create_request import IN_FLIGHT, PROVIDER_KEY, TIMEOUT_S, create_request

#: Jobs that are taken at once.
BATCH = 50

_TABLE = "CREATE TABLE placed (call_id text PRIMARY KEY, provider_call_id text NOT NULL, at timestamptz NOT NULL)"
_PLACED = "INSERT INTO placed (call_id, provider_call_id, at) VALUES ($1, $2, now())"


async def run() -> None:
    asked = read_arguments(__doc__)
    pool = await asyncpg.create_pool(asked.database_url, min_size=1, max_size=24)
    driver = AsyncpgPoolDriver(pool)
    queries = Queries(driver)
    if asked.enqueue is not None:
        jobs = [json.dumps(create_request(asked.first + number)).encode() for number in range(asked.enqueue)]
        await queries.enqueue(["place"] * len(jobs), jobs, [0] * len(jobs))
        pool.terminate()
        return
    await queries.install()
    await pool.execute(_TABLE)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    http_client = DefaultAioHttpClient(timeout=TIMEOUT_S, limits=limits)
    client = AsyncRetell(api_key=PROVIDER_KEY, base_url=asked.provider_url, max_retries=0, http_client=http_client)
    worker = PgQueuer(driver)

    @worker.entrypoint("place")
    async def place(job: Job) -> None:
        assert job.payload is not None
        request = json.loads(job.payload)
        call = await client.call.create_phone_call(**request)
        await pool.execute(_PLACED, request["metadata"]["ringback_call_id"], call.call_id)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.shutdown.set)
    await worker.run(batch_size=BATCH, max_concurrent_tasks=IN_FLIGHT)
    await client.close()
    pool.terminate()


if __name__ == "__main__":
    uvloop.run(run())
