"""The consumer loop on real queues: nothing is lost, and poison ends in the dead letters."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ringback.consumer import Consumer, ConsumerConfig
from ringback.loops import Loop
from ringback.messages import decode_call_requested
from ringback.ports import OutgoingMessage


@asynccontextmanager
async def consuming(queue, handle, visibility_s: int = 2) -> AsyncIterator[Consumer]:
    pace = ConsumerConfig(max_in_flight=20, group_size=10, visibility_s=visibility_s, wait_s=1, drain_s=5)
    consumer = Consumer(queue, handle, pace, loop=Loop("consumer", "calls"), rng=random.Random(7))
    stop = asyncio.Event()
    run = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await run


@pytest.fixture
def quick_retries(monkeypatch):
    monkeypatch.setattr("ringback.consumer.FIRST_RETRY_S", 0.0)


async def test_poison_ends_in_the_dead_letters_and_blocks_no_other_message(rig, quick_retries):
    handled, tries = [], []
    bodies = [f"good {n}" for n in range(55)] + [f"poison {n}" for n in range(5)]
    assert await rig.queue.send([OutgoingMessage(body) for body in bodies]) == []

    async def handle(group):
        for message in group:
            if message.body.startswith("poison"):
                tries.append((message.body, message.receive_count))
                raise ZeroDivisionError
        handled.extend(message.body for message in group)

    async with consuming(rig.queue, handle), asyncio.timeout(15):
        while len(await rig.dead()) < 5 or len(set(handled)) < 55:
            await asyncio.sleep(0.05)
    assert sorted(set(handled)) == sorted(bodies[:55])
    assert sorted(body for body, _ in await rig.dead()) == bodies[55:]
    assert set(tries) == {(body, count) for body in bodies[55:] for count in (1, 2)}
    assert await rig.queue.receive(10, 0, 30) == []


async def test_a_message_of_another_version_is_hidden_and_read_by_that_version_later(rig, monkeypatch):
    # Longer than a poll that is cut off at the stop can last at the server.
    monkeypatch.setattr("ringback.consumer.ANOTHER_VERSION_WAITS_S", (3,))
    newer = '{"type":"CallRequested","v":2,"call":"call-1"}'
    await rig.queue.send([OutgoingMessage(newer)])

    async def handle(group):
        decode_call_requested(group[0].body)

    async with consuming(rig.queue, handle) as consumer, asyncio.timeout(10):
        while not consumer.stats.retried:
            await asyncio.sleep(0.02)
    assert await rig.dead() == []
    assert [message.body for message in await rig.queue.receive(10, 10, 30)] == [newer]


async def test_every_message_is_handled_although_the_server_stops_twice(rig):
    handled, bodies = [], [str(n) for n in range(200)]
    await rig.queue.send([OutgoingMessage(body) for body in bodies])

    async def handle(group):
        await asyncio.sleep(0.02)
        handled.extend(message.body for message in group)

    async with consuming(rig.queue, handle), asyncio.timeout(25):
        for _ in range(2):
            await asyncio.sleep(0.05)
            await rig.proxy.close()
            await asyncio.sleep(0.1)
            await rig.proxy.open()
        # A receive that was cut off may count. A message received twice by then is a dead letter, not lost.
        while len({*handled, *(body for body, _ in await rig.dead())}) < 200:
            await asyncio.sleep(0.05)
    assert len(await rig.dead()) < 40
