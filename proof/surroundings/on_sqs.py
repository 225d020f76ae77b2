"""The chaos and the poison once more, on the queues of an SQS server."""

import asyncio
from contextlib import AsyncExitStack

from proof.findings import Findings
from proof.surroundings.ground import Ground
from proof.surroundings.queues import Story, run_queues
from proof.surroundings.sqs import QUEUES, aws_environment
from proof.surroundings.town import Town
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.ports import MessageQueue
from ringback.wiring import Dependencies
from tests.loopback import free_ports
from tests.sqs_server import AWS, create_queue, sqs_client

#: The most that SQS permits; chaos must not make a good message one that was received too often.
MOST_RECEIVES = 1000


def run_queues_on_sqs(ground: Ground, found: Findings, calls: int) -> None:
    with Town(ground.home / "queues-server") as town:
        endpoint = town.start_sqs(free_ports(1)[0])
        client = sqs_client(endpoint)
        urls = {name: create_queue(client, name) for name in QUEUES}
        wild = {name: create_queue(client, f"wild-{name}", MOST_RECEIVES) for name in QUEUES}
        settings = {
            "AWS_REGION": AWS["AWS_REGION"],
            "AWS_ENDPOINT_URL_SQS": endpoint,
            "RINGBACK_CALL_QUEUE": urls["calls"],
            "RINGBACK_EVENT_QUEUE": urls["events"],
        }

        async def open_wild(_: Dependencies, stack: AsyncExitStack) -> dict[str, MessageQueue]:
            queues: dict[str, MessageQueue] = {}
            for name, url in wild.items():
                queues[name] = await open_sqs_queue(url, region=AWS["AWS_REGION"])
                stack.push_async_callback(queues[name].close)
            return queues

        with aws_environment(endpoint):
            story = Story(found, found.seed, "SQS", calls)
            asyncio.run(run_queues(ground, story, settings, open_wild))
