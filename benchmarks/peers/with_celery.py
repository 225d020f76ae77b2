"""Celery places calls: one process, a pool of threads, the provider's SDK. Nothing is written down."""

from typing import Any

import httpx
from celery import Celery
from retell import Retell

from benchmarks.floors.arguments import read_arguments
from benchmarks.peers.create_request import IN_FLIGHT, PROVIDER_KEY, TIMEOUT_S, create_request

_WORKER = ("worker", "--pool=threads", f"--concurrency={IN_FLIGHT}", "--loglevel=WARNING")
_WITHOUT = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def main() -> None:
    asked = read_arguments(__doc__)
    app = Celery("benchmark", broker=asked.queue_url)
    app.conf.update(
        task_ignore_result=True, broker_connection_retry_on_startup=True, worker_enable_remote_control=False
    )
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    client = Retell(
        api_key=PROVIDER_KEY,
        base_url=asked.provider_url,
        max_retries=0,
        http_client=httpx.Client(timeout=TIMEOUT_S, limits=limits),
    )

    @app.task(name="place")
    def place(request: dict[str, Any]) -> None:
        client.call.create_phone_call(**request)

    if asked.enqueue is None:
        app.worker_main([*_WORKER, *_WITHOUT])
        return
    with app.producer_pool.acquire() as producer:
        for number in range(asked.first, asked.first + asked.enqueue):
            place.apply_async((create_request(number),), producer=producer)


if __name__ == "__main__":
    main()
