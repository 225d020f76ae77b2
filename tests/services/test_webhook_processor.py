"""The consumer of queue #2 measures how late each webhook is applied."""

import asyncio

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.loops import Loop
from ringback.messages import encode_webhook
from ringback.ports import OutgoingMessage
from ringback.services.webhook_processor import event_consumer
from ringback.web.limits import ConcurrencyLimit
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack


async def test_the_lag_of_an_applied_webhook_is_the_time_since_its_receipt(store, pool, clock):
    stack, queue, lags = EventStack(store, pool, clock), PostgresQueue(pool, "events"), []
    talk = await stack.talk()
    times = ("2026-12-01T16:59:30+00:00", "2026-12-01T17:00:05+00:00", "long ago", "2026-12-01T16:00:00")
    webhooks = [r.play(r.COMPLETED, event, talk.provider_call_id, talk.marks) for event in r.COMPLETED]
    bodies = [webhooks[number % len(webhooks)] for number in range(len(times))]
    texts = [encode_webhook(at, body) for at, body in zip(times, bodies, strict=True)]
    # Attributes that another version, or another sender, may write.
    attributes = ({}, {"traceparent": "broken"}, {"traceparent": "00-1", "more": "x"}, {"unknown": "\u00e9"})
    messages = [OutgoingMessage(text or "", attributes=given) for text, given in zip(texts, attributes, strict=True)]
    assert await queue.send(messages) == []
    stop, loop = asyncio.Event(), Loop("consumer", "webhook_processor")
    consumer = event_consumer(queue, stack.events_in, loop, ConcurrencyLimit(10), lags.append)
    running = asyncio.create_task(consumer.run(stop))
    async with asyncio.timeout(30):
        while consumer.stats.acked < len(times):
            await asyncio.sleep(0.02)
    stop.set()
    await running
    await queue.close()
    # A receiver's clock may be ahead. A time that another version wrote in another way is not measured.
    assert sorted(lags) == [0.0, 30.0]
    assert (await stack.attempt(talk.call_id))["state"] == "analyzed"
