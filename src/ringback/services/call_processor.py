"""Voice Call Processor: takes due calls from queue #1 and places each through the provider."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict

from ringback.config import Settings
from ringback.consumer import Consumer, ConsumerConfig
from ringback.domain.eligibility import DialPolicy
from ringback.flows.call_processing import CallProcessing
from ringback.loops import Loop
from ringback.messages import decode_call_requested
from ringback.ports import Clock, MessageQueue, ReceivedMessage, Store
from ringback.process import Service, run_process
from ringback.wiring import Dependencies

#: A claimed message is worth nothing any more, so this only bounds how soon one that was never claimed comes back.
VISIBILITY_S = 10
#: Messages are taken only for calls that could start now, so that a waiting call waits in the queue, not in a process.
MAX_IN_FLIGHT = 200


def call_consumer(
    queue: MessageQueue, processing: CallProcessing, store: Store, clock: Clock, policy: DialPolicy, loop: Loop
) -> Consumer:
    """One message at a time, as each is a dial of its own."""

    async def handle(messages: Sequence[ReceivedMessage]) -> None:
        for message in messages:
            await processing.place_call(decode_call_requested(message.body))

    async def available_slots() -> int:
        if await processing.provider.is_emulated() is None:
            return 0  # the gate would only make them wait, and another process may know its provider
        return await store.free_slots(policy.max_live_calls, policy.calls_per_second, clock.now())

    pace = ConsumerConfig(max_in_flight=min(MAX_IN_FLIGHT, policy.max_live_calls), visibility_s=VISIBILITY_S)
    return Consumer(queue, handle, pace, loop=loop, rng=random.Random(), available_slots=available_slots)


def build_service(deps: Dependencies) -> Service:
    settings = deps.settings
    loop = deps.loops.named("consumer", "call_processor")
    consumer = call_consumer(
        deps.call_queue, deps.call_processing(), deps.store, deps.clock, settings.dial_policy, loop
    )

    async def consume(stop: asyncio.Event) -> None:
        # Before the first claim: on a busy machine the import alone can outlast its lease.
        await deps.provider.warm_up()
        await consumer.run(stop)

    return Service(
        "call-processor", loops=[consume], counts={"call_queue_messages": lambda: asdict(consumer.stats).items()}
    )


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
