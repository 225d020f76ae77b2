"""WebhookProcessor: receives verified webhooks from queue #2 and applies them to the calls."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime

from ringback.config import Settings
from ringback.consumer import Consumer, ConsumerConfig
from ringback.flows.event_processing import EventProcessing
from ringback.loops import Loop
from ringback.messages import decode_webhook_received
from ringback.ports import MessageQueue, ReceivedMessage
from ringback.process import Service, run_process
from ringback.tracing import ATTRIBUTE
from ringback.web.limits import ConcurrencyLimit
from ringback.wiring import Dependencies

MAX_IN_FLIGHT = 32
#: Extended while an event is handled, so this only bounds how soon events return after a crash.
VISIBILITY_S = 10
#: A receiver in the same process goes first, because Retell waits for seconds and an event in the queue can wait.
#: While more webhooks than this wait for the queue, events are received one by one, with pauses.
CROWD = 20
CROWD_PAUSE_S = 0.1


def event_consumer(
    queue: MessageQueue,
    processing: EventProcessing,
    loop: Loop,
    webhooks_waiting: ConcurrencyLimit,
    observe_lag: Callable[[float], None] = lambda _: None,
) -> Consumer:
    """Create the consumer of queue #2. Events of different calls run in parallel; a call's lock orders its own.

    `observe_lag` gets the seconds from the receipt of each webhook until it was applied.
    """

    async def handle(messages: Sequence[ReceivedMessage]) -> None:
        for message in messages:
            webhook = decode_webhook_received(message.body)
            await processing.apply_call_event(webhook, message.receive_count, message.attributes.get(ATTRIBUTE))
            with suppress(ValueError, TypeError):  # another version may write the time in another way
                received_at = datetime.fromisoformat(webhook.received_at)
                observe_lag(max(0.0, (processing.clock.now() - received_at).total_seconds()))

    async def available_slots() -> int:
        if webhooks_waiting.in_use <= CROWD:
            return MAX_IN_FLIGHT
        await asyncio.sleep(CROWD_PAUSE_S)
        return 1

    config = ConsumerConfig(max_in_flight=MAX_IN_FLIGHT, visibility_s=VISIBILITY_S, dependency="event_queue")
    return Consumer(queue, handle, config, loop=loop, rng=random.Random(), available_slots=available_slots)


def build_service(deps: Dependencies) -> Service:
    processing = deps.event_processing()
    loop = deps.loops.named("consumer", "webhook_processor")
    observe_lag = deps.metrics.webhook_lag_s.observe
    consumer = event_consumer(deps.event_queue, processing, loop, deps.webhooks_waiting, observe_lag)
    counts = {
        "event_queue_messages": lambda: asdict(consumer.stats).items(),
        "provider_events": lambda: asdict(processing.counts).items(),
    }
    return Service("webhook-processor", loops=[consumer.run], counts=counts)


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
