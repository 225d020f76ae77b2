"""A webhook of 500 KB on its whole way: the receiver's code, each queue, the processor, the rows."""

import asyncio
import random
import time
import zlib
from base64 import b64encode
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from ringback.adapters.retell.signature import sign
from ringback.adapters.sqs.sender import make_sender
from ringback.batching import send_through
from ringback.consumer import ConsumerConfig
from ringback.flows.webhook_intake import ToEnqueue, read_webhook
from ringback.loops import Loop
from ringback.messages import COMPRESSED_START
from ringback.ports import OutgoingMessage
from ringback.services import webhook_processor
from ringback.services.webhook_lambda import make_handler, webhook_ports
from ringback.services.webhook_processor import event_consumer
from ringback.web.limits import ConcurrencyLimit
from tests.flows.event_processing.conftest import EventStack, Talk
from tests.flows.event_processing.recordings import Body, analysis, connected, play
from tests.previous_messages import decode_webhook_received as previous_decode_webhook_received

KEY = "key_webhook"


@pytest.fixture
def stack(store, pool, clock) -> EventStack:
    return EventStack(store, pool, clock)


def conversation() -> dict[str, Body]:
    """The webhooks of a call of an hour, with timed words, as Retell sends them."""
    dice, moment_s, turns = random.Random(20261129), 0.0, []
    vocabulary = [
        "about",
        "account",
        "billing",
        "café",
        "call",
        "change",
        "date",
        "email",
        "insurance",
        "monday",
        "naïve",
        "really",
        "thank",
        "visit",
        "yes",
    ]
    for number in range(420):
        words: list[Body] = []
        for _ in range(dice.randint(8, 14)):
            words.append({"word": dice.choice(vocabulary), "start": moment_s, "end": round(moment_s + 0.25, 2)})
            moment_s = round(moment_s + 0.3 + dice.random(), 2)
        said = " ".join(word["word"] for word in words)
        turns.append({"role": ("agent", "user")[number % 2], "content": said, "words": words})
    transcript = "".join(f"{turn['role'].capitalize()}: {turn['content']}\n" for turn in turns)
    talk = {"transcript": transcript, "transcript_object": turns, "transcript_with_tool_calls": turns}
    return connected("agent_hangup", analysis(True), **talk)


def webhook(stack: EventStack, talk: Talk, recording: dict[str, Body], event: str) -> str:
    return play(recording, event, talk.provider_call_id, talk.marks)


async def receive(rig: Any, body: str) -> None:
    """Receive a webhook as deployed: by the Lambda with its sender before SQS, by the receiver's code otherwise."""
    now_ms = time.time_ns() // 1_000_000
    signature = sign(body.encode(), KEY, now_ms)
    if "url" in rig.extra:
        event = {"headers": {"x-retell-signature": signature}, "body": body, "isBase64Encoded": False}
        handle = make_handler(make_sender(rig.extra["url"]), [KEY], lambda: now_ms)
        assert (await asyncio.to_thread(handle, event, None))["statusCode"] == 204
        return
    read = read_webhook(body.encode(), signature, now_ms, webhook_ports([KEY]))
    assert isinstance(read, ToEnqueue)
    await send_through(rig.queue)(OutgoingMessage(read.message))


@asynccontextmanager
async def processing(rig: Any, stack: EventStack):
    consumer = event_consumer(rig.queue, stack.events_in, Loop("consumer", "webhook_processor"), ConcurrencyLimit(10))
    stop = asyncio.Event()
    run = asyncio.create_task(consumer.run(stop))
    try:
        async with asyncio.timeout(30):
            yield consumer
    finally:
        stop.set()
        await run


async def test_a_conversation_of_500_kb_is_applied_without_asking_retell(rig, stack):
    talk, recording = await stack.talk(), conversation()
    body = webhook(stack, talk, recording, "call_analyzed")
    assert len(body.encode()) > 500_000
    await receive(rig, body)
    async with processing(rig, stack) as consumer:
        while not consumer.stats.acked:
            await asyncio.sleep(0.02)
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["transcript"]) == ("analyzed", recording["call_analyzed"]["transcript"])
    inbox = await stack.one("SELECT body, fate FROM provider_events WHERE call_id = $1", talk.call_id)
    assert (inbox["body"], inbox["fate"]) == (body, "applied")
    assert (consumer.stats.dead, consumer.stats.retried, consumer.stats.failures) == (0, 0, 0)


def damaged_messages() -> list[str]:
    whole = zlib.compress(b'{"event":"call_ended"}' * 9_000)
    bodies = [whole[:-9], whole[:40], b"no zlib", whole + b"more", zlib.compress(b"0" * 80_000_000, 9)]
    fields = '"received_at":"2026-12-01T17:00:00Z","deflated":'
    return [f'{COMPRESSED_START}{fields}"{b64encode(body).decode()}"}}' for body in bodies]


async def test_damaged_compressed_bodies_are_dead_letters_with_a_reason_and_block_no_other(rig, stack):
    talk, recording, damaged = await stack.talk(), conversation(), damaged_messages()
    assert await rig.queue.send([OutgoingMessage(message) for message in damaged]) == []
    await receive(rig, webhook(stack, talk, recording, "call_ended"))
    async with processing(rig, stack) as consumer:
        while consumer.stats.acked + consumer.stats.dead <= len(damaged):
            await asyncio.sleep(0.02)
    assert (await stack.attempt(talk.call_id))["state"] == "ended"
    dead = dict(await rig.dead())
    assert set(dead) == set(damaged)
    assert all(reason.startswith("Permanent: compressed body is ") for reason in dead.values())
    assert consumer.stats.failures == 0


async def test_a_processor_of_the_previous_version_leaves_a_compressed_webhook_to_a_newer_one(rig, stack, monkeypatch):
    monkeypatch.setattr("ringback.consumer.ANOTHER_VERSION_WAITS_S", (3,))
    talk, recording = await stack.talk(), conversation()
    await receive(rig, webhook(stack, talk, recording, "call_analyzed"))
    with monkeypatch.context() as previous:
        previous.setattr(webhook_processor, "decode_webhook_received", previous_decode_webhook_received)
        # A poll that is cut off at the stop lasts this long at the server, which is less than the wait.
        previous.setattr(webhook_processor, "ConsumerConfig", partial(ConsumerConfig, wait_s=1))
        async with processing(rig, stack) as consumer:
            while not consumer.stats.retried:
                await asyncio.sleep(0.02)
    assert (await stack.attempt(talk.call_id))["state"] == "placed"
    assert await rig.dead() == []
    async with processing(rig, stack) as consumer:
        while not consumer.stats.acked:
            await asyncio.sleep(0.02)
    assert (await stack.attempt(talk.call_id))["state"] == "analyzed"


async def test_a_large_webhook_that_comes_twice_is_applied_once(rig, stack):
    talk, recording = await stack.talk(), conversation()
    body = webhook(stack, talk, recording, "call_analyzed")
    for _ in range(2):
        await receive(rig, body)
    async with processing(rig, stack) as consumer:
        while consumer.stats.acked < 2:
            await asyncio.sleep(0.02)
    assert len(await stack.all("SELECT FROM provider_events WHERE call_id = $1", talk.call_id)) == 1
    assert (stack.counts.applied, stack.counts.repeated) == (1, 1)
