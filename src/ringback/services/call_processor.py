"""Voice Call Processor: receives due calls from queue #1 and places each through the provider."""

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import asdict

from ringback.config import Settings
from ringback.consumer import Consumer, ConsumerConfig
from ringback.domain.eligibility import DialPolicy
from ringback.flows.call_processing import CallProcessing
from ringback.loops import Loop
from ringback.messages import decode_call_requested
from ringback.ports import Clock, MessageQueue, ReceivedMessage
from ringback.process import Service, run_process
from ringback.storage import DueWork
from ringback.tracing import ATTRIBUTE
from ringback.wiring import Dependencies

#: A message is useless after its claim, so this only bounds how soon an unclaimed message returns.
VISIBILITY_S = 10
#: Messages are received only for calls that can start now. All others wait in the queue.
MAX_IN_FLIGHT = 200
#: The free slots are counted this often at most. Between two counts each received message takes one.
SLOTS_REMEMBERED_S = 0.05


def call_consumer(
    queue: MessageQueue, processing: CallProcessing, store: DueWork, clock: Clock, policy: DialPolicy, loop: Loop
) -> Consumer:
    """Create the consumer of queue #1. It handles one message at a time, because each is a dial of its own."""

    async def handle(messages: Sequence[ReceivedMessage]) -> None:
        for message in messages:
            await processing.place_call(decode_call_requested(message.body), message.attributes.get(ATTRIBUTE))

    counted_at, counted_free, received_then = -math.inf, 0, 0

    async def available_slots() -> int:
        nonlocal counted_at, counted_free, received_then
        if await processing.provider.is_emulated() is None:
            return 0  # the claim would defer the calls, and another process may know its provider
        left = counted_free - (consumer.stats.received - received_then)
        if left > 0 and clock.monotonic() - counted_at < SLOTS_REMEMBERED_S:
            return left
        received_then = consumer.stats.received
        counted_free = await store.free_slots(policy.max_live_calls, policy.calls_per_second, clock.now())
        counted_at = clock.monotonic()
        return counted_free

    most = min(MAX_IN_FLIGHT, policy.max_live_calls)
    config = ConsumerConfig(max_in_flight=most, visibility_s=VISIBILITY_S, dependency="call_queue")
    consumer = Consumer(queue, handle, config, loop=loop, rng=random.Random(), available_slots=available_slots)
    return consumer


def build_service(deps: Dependencies) -> Service:
    settings = deps.settings
    loop = deps.loops.named("consumer", "call_processor")
    consumer = call_consumer(
        deps.call_queue, deps.call_processing(), deps.store, deps.clock, settings.dial_policy, loop
    )

    async def consume(stop: asyncio.Event) -> None:
        # Before the first claim, because on a busy machine the import alone can outlast a lease.
        await deps.provider.warm_up()
        await consumer.run(stop)

    return Service(
        "call-processor", loops=[consume], counts={"call_queue_messages": lambda: asdict(consumer.stats).items()}
    )


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
