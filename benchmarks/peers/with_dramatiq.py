"""Dramatiq places calls: one process, threads, the provider's SDK. Nothing is written down."""

import signal
from typing import Any

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker
from retell import Retell

from benchmarks.floors.arguments import read_arguments
from benchmarks.peers.create_request import IN_FLIGHT, PROVIDER_KEY, TIMEOUT_S, create_request


def main() -> None:
    asked = read_arguments(__doc__)
    broker = RedisBroker(url=asked.queue_url)
    dramatiq.set_broker(broker)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    client = Retell(
        api_key=PROVIDER_KEY,
        base_url=asked.provider_url,
        max_retries=0,
        http_client=httpx.Client(timeout=TIMEOUT_S, limits=limits),
    )

    @dramatiq.actor(max_retries=0)
    def place(request: dict[str, Any]) -> None:
        client.call.create_phone_call(**request)

    if asked.enqueue is not None:
        for number in range(asked.first, asked.first + asked.enqueue):
            place.send(create_request(number))
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    worker = dramatiq.Worker(broker, worker_threads=IN_FLIGHT)
    worker.start()
    signal.sigwait({signal.SIGTERM})
    worker.stop(timeout=5_000)


if __name__ == "__main__":
    main()
