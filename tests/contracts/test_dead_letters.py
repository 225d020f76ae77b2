"""Dead letters of both queues: listed unchanged, and replayed as if they were new."""

import asyncio

import pytest

from ringback.domain.errors import QueueUnavailable
from ringback.ports import MessageQueue, OutgoingMessage


async def bury(queue: MessageQueue, *bodies: str) -> None:
    await queue.send([OutgoingMessage(body, attributes={"traceparent": "00-1"}) for body in bodies])
    left = len(bodies)
    while left:
        for message in await queue.receive(10, 2, 30):
            await queue.dead_letter(message, f"Permanent: {message.body}")
            left -= 1


async def received(queue: MessageQueue, count: int):
    got = []
    while len(got) < count:
        batch = await queue.receive(10, 2, 30)
        assert batch, f"{len(got)} of {count} came"
        got += batch
    return got


async def test_dead_letters_are_listed_again_and_again_with_their_reasons(rig):
    assert await rig.queue.dead_letters(10) == []
    await bury(rig.queue, "a", "b")
    for _ in range(2):
        letters = await rig.queue.dead_letters(10)
        assert sorted((one.body, one.reason) for one in letters) == [("a", "Permanent: a"), ("b", "Permanent: b")]
    assert len({one.letter_id for one in letters}) == 2
    assert await rig.queue.receive(10, 0, 1) == []


async def test_no_more_are_listed_than_asked_for(rig):
    await bury(rig.queue, *(str(number) for number in range(12)))
    assert len(await rig.queue.dead_letters(3)) == 3
    assert len(await rig.queue.dead_letters(100)) == 12


async def test_a_replayed_letter_comes_as_if_it_were_new_and_the_others_stay(rig):
    await bury(rig.queue, "a", "b")
    [letter] = [one for one in await rig.queue.dead_letters(10) if one.body == "a"]
    assert await rig.queue.replay(letter.letter_id) == 1
    [message] = await rig.queue.receive(10, 2, 30)
    assert (message.body, message.receive_count, dict(message.attributes)) == ("a", 1, {"traceparent": "00-1"})
    assert [one.body for one in await rig.queue.dead_letters(10)] == ["b"]


async def test_poison_that_is_dead_again_at_once_is_replayed_once(rig):
    await bury(rig.queue, *(f"poison {number}" for number in range(32)))
    await asyncio.sleep(0.01)  # SQS stamps milliseconds

    async def reject_all():
        while True:
            for message in await rig.queue.receive(10, 1, 30):
                await rig.queue.dead_letter(message, "no JSON")

    rejecting = asyncio.create_task(reject_all())
    async with asyncio.timeout(30):
        assert await rig.queue.replay(None) == 32
    rejecting.cancel()


async def test_a_second_replay_of_a_letter_does_nothing(rig):
    await bury(rig.queue, "a")
    [letter] = await rig.queue.dead_letters(10)
    assert await rig.queue.replay(letter.letter_id) == 1
    assert await rig.queue.replay(letter.letter_id) == 0
    assert await rig.queue.replay("no-such-letter") == 0
    assert len(await received(rig.queue, 1)) == 1


async def test_all_are_replayed_at_once(rig):
    await bury(rig.queue, *(str(number) for number in range(23)))
    assert await rig.queue.replay(None) == 23
    assert sorted(int(one.body) for one in await received(rig.queue, 23)) == list(range(23))
    assert await rig.queue.dead_letters(10) == []
    assert await rig.queue.replay(None) == 0


async def test_a_letter_that_was_received_too_often_may_be_received_as_often_again(rig):
    await rig.queue.send([OutgoingMessage("poison")])
    for _ in range(2):
        await rig.queue.receive(1, 2, 0)
    while not await rig.dead():
        assert await rig.queue.receive(10, 0, 30) == []
        await asyncio.sleep(0.02)
    assert await rig.queue.replay(None) == 1
    for count in (1, 2):
        [message] = await rig.queue.receive(1, 2, 0)
        assert (message.body, message.receive_count) == ("poison", count)


async def test_an_old_delivery_cannot_acknowledge_what_was_replayed(rig):
    await rig.queue.send([OutgoingMessage("a")])
    [old] = await rig.queue.receive(1, 2, 30)
    await rig.queue.dead_letter(old, "Permanent: a")
    await rig.queue.replay(None)
    await rig.queue.delete([old.receipt])
    assert [one.body for one in await received(rig.queue, 1)] == ["a"]


async def test_a_replay_wakes_a_waiting_receive(rig):
    await bury(rig.queue, "a")
    waiting = asyncio.create_task((await rig.open()).receive(1, 10, 30))
    await asyncio.sleep(0.1)
    await rig.queue.replay(None)
    async with asyncio.timeout(2):
        assert [one.body for one in await waiting] == ["a"]


async def test_an_unavailable_queue_raises(rig):
    await rig.proxy.close()
    for work in (rig.queue.dead_letters(1), rig.queue.replay(None)):
        with pytest.raises(QueueUnavailable):
            await work
