"""The MessageQueue contract: the same behaviour over the embedded queue and over Amazon SQS."""

import asyncio
import time

import pytest

from ringback.domain.errors import QueueUnavailable
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage


def outgoing(*bodies: str, delay_s: int = 0) -> list[OutgoingMessage]:
    return [OutgoingMessage(body, delay_s) for body in bodies]


async def receive_all(queue: MessageQueue, count: int, visibility_s: int = 30) -> list[ReceivedMessage]:
    got: list[ReceivedMessage] = []
    while len(got) < count:
        batch = await queue.receive(10, 2, visibility_s)
        assert batch, f"{len(got)} of {count} came"
        got += batch
    return got


def bodies(messages: list[ReceivedMessage]) -> list[str]:
    return sorted(message.body for message in messages)


async def test_a_message_is_delivered_and_after_its_deletion_never_again(rig):
    assert await rig.queue.send(outgoing("one")) == []
    [message] = await rig.queue.receive(10, 2, 0)
    assert (message.body, message.receive_count, dict(message.attributes)) == ("one", 1, {})
    await rig.queue.delete([message.receipt])
    assert await rig.queue.receive(10, 0, 1) == []


async def test_a_send_larger_than_a_batch_arrives_whole(rig):
    sent = [f"message {number}" for number in range(25)]
    assert await rig.queue.send(outgoing(*sent)) == []
    got = await receive_all(rig.queue, 25)
    assert bodies(got) == sorted(sent)
    assert len({message.receipt for message in got}) == 25


async def test_nothing_to_send_or_delete_is_no_error(rig):
    assert await rig.queue.send([]) == []
    await rig.queue.delete([])
    await rig.queue.change_visibility([], 5)


async def test_a_receive_gives_ten_at_the_most_and_no_more_than_asked(rig):
    await rig.queue.send(outgoing(*(str(number) for number in range(15))))
    assert len(await rig.queue.receive(3, 0, 30)) == 3
    assert len(await rig.queue.receive(50, 0, 30)) == 10


async def test_bad_entries_amid_good_ones_are_named_by_position_and_the_good_arrive(rig):
    limit = rig.queue.max_message_bytes
    refused = await rig.queue.send(
        [
            OutgoingMessage("first"),
            OutgoingMessage("x" * (limit + 1)),
            OutgoingMessage("late", delay_s=901),
            OutgoingMessage("early", delay_s=-1),
            OutgoingMessage(""),
            OutgoingMessage("nul \0"),
            OutgoingMessage("half a pair \ud83d"),
            OutgoingMessage("noncharacter \uffff"),
            OutgoingMessage("x", attributes={"empty": ""}),
            *outgoing(*(f"more {number}" for number in range(9))),
            OutgoingMessage("é" * (limit // 2 + 1)),
            OutgoingMessage("last"),
        ]
    )
    assert refused == [1, 2, 3, 4, 5, 6, 7, 8, 18]
    assert bodies(await receive_all(rig.queue, 11)) == sorted(["first", "last", *(f"more {n}" for n in range(9))])


async def test_a_send_without_an_accepted_message_raises(rig):
    with pytest.raises(QueueUnavailable):
        await rig.queue.send(outgoing("x" * (rig.queue.max_message_bytes + 1)))


async def test_several_messages_of_the_largest_size_pass_in_one_send(rig):
    limit = rig.queue.max_message_bytes
    assert await rig.queue.send(outgoing("a" * limit, "b" * limit, "c" * 200_000)) == []
    got = bodies(await receive_all(rig.queue, 3))
    assert [(body[0], len(body)) for body in got] == [("a", limit), ("b", limit), ("c", 200_000)]


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "Zoë \U0001f600 Łódź 東京 عربى", "text": "\\u0000 \\ud83d"}',
        "tab\tline\nreturn\r\nend",
        "delete \x7f next line \x85 separators \u2028 \u2029 replacement \ufffd",
        "<a href=\"x\">&amp; ]]> 'quoted' \\ back",
        "  leading and trailing  ",
        "e\u0301 is not normalised to \u00e9",
    ],
)
async def test_text_arrives_byte_for_byte(rig, body):
    await rig.queue.send(outgoing(body))
    [message] = await rig.queue.receive(1, 2, 30)
    assert message.body == body


async def test_attributes_are_received_with_the_message(rig):
    attributes = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "who": "Zoë, \U0001f600"}
    await rig.queue.send([OutgoingMessage("x", attributes=attributes)])
    [message] = await rig.queue.receive(1, 2, 30)
    assert dict(message.attributes) == attributes


async def test_an_unacknowledged_message_returns_after_its_visibility_counted_twice(rig):
    await rig.queue.send(outgoing("one"))
    [first] = await rig.queue.receive(1, 2, 1)
    assert await rig.queue.receive(1, 0, 1) == []
    [second] = await rig.queue.receive(1, 3, 30)
    assert (second.body, second.message_id, second.receive_count) == ("one", first.message_id, 2)
    assert second.receipt != first.receipt


async def test_a_stale_receipt_deletes_nothing_and_changes_no_visibility(rig):
    await rig.queue.send(outgoing("one"))
    [first] = await rig.queue.receive(1, 2, 0)
    [second] = await rig.queue.receive(1, 2, 30)
    await rig.queue.delete([first.receipt])
    await rig.queue.change_visibility([first.receipt], 0)
    assert await rig.queue.receive(1, 0, 30) == []
    await rig.queue.change_visibility([second.receipt], 0)
    assert [letter for letter, _ in await dead_after_polls(rig, 1)] == ["one"]


async def test_a_second_delete_does_nothing(rig):
    await rig.queue.send(outgoing("one", "two"))
    first, second = await receive_all(rig.queue, 2)
    await rig.queue.delete([first.receipt])
    await rig.queue.delete([first.receipt])
    await rig.queue.change_visibility([first.receipt, second.receipt], 0)
    assert bodies(await rig.queue.receive(10, 0, 30)) == [second.body]


async def test_a_stale_receipt_among_good_ones_does_not_hinder_them(rig):
    await rig.queue.send(outgoing("one"))
    [stale] = await rig.queue.receive(1, 2, 0)
    await rig.queue.send(outgoing(*(f"more {number}" for number in range(11))))
    got = await receive_all(rig.queue, 12)
    await rig.queue.delete([stale.receipt, *(message.receipt for message in got if message.body != "one")])
    await rig.queue.change_visibility([stale.receipt, *(message.receipt for message in got)], 0)
    assert await dead_after_polls(rig, 1) == [("one", None if rig.server == "ministack" else "received too often")]


async def test_visibility_zero_makes_a_message_visible_at_once(rig):
    await rig.queue.send(outgoing("one"))
    [first] = await rig.queue.receive(1, 2, 60)
    waiting = asyncio.create_task((await rig.open()).receive(1, 5, 60))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await rig.queue.change_visibility([first.receipt], 0)
    [second] = await waiting
    assert second.receive_count == 2
    assert time.monotonic() - started < 1


async def test_an_extended_visibility_keeps_the_message_hidden(rig):
    await rig.queue.send(outgoing("one"))
    [message] = await rig.queue.receive(1, 2, 1)
    await rig.queue.change_visibility([message.receipt], 30)
    assert await rig.queue.receive(1, 2, 30) == []


async def test_a_delayed_message_is_not_seen_before_its_time(rig):
    started = time.monotonic()
    await rig.queue.send([*outgoing("now"), *outgoing("later", delay_s=1)])
    assert [message.body for message in await rig.queue.receive(10, 0, 30)] == ["now"]
    [later] = await rig.queue.receive(10, 5, 30)
    assert later.body == "later"
    assert later.receive_count == 1
    assert 0.9 < time.monotonic() - started < 2.5


async def dead_after_polls(rig, count: int) -> list[tuple[str, str | None]]:
    """Receive a few times: the server moves dead messages only at a receive."""
    for _ in range(20):
        assert await rig.queue.receive(10, 0, 30) == []
        if len(letters := await rig.dead()) == count:
            return letters
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(letters)} of {count} dead letters")


async def test_a_message_received_more_often_than_the_limit_goes_to_the_dead_letters(rig):
    await rig.queue.send(outgoing("poison"))
    for count in (1, 2):
        [message] = await rig.queue.receive(1, 2, 0)
        assert message.receive_count == count
    letters = await dead_after_polls(rig, 1)
    assert [body for body, _ in letters] == ["poison"]
    await rig.queue.delete([message.receipt])
    assert len(await rig.dead()) == 1


async def test_dead_messages_do_not_hide_live_ones_from_a_receive(rig):
    await rig.queue.send(outgoing(*(f"poison {number}" for number in range(10))))
    for _ in (1, 2):
        assert len(await receive_all(rig.queue, 10, visibility_s=0)) == 10
    await rig.queue.send(outgoing("good"))
    assert [message.body for message in await rig.queue.receive(10, 2, 30)] == ["good"]


async def test_a_dead_letter_is_complete_and_gone_from_its_queue(rig):
    await rig.queue.send([OutgoingMessage('{"Zoë": 1}', attributes={"traceparent": "00-1"})])
    [message] = await rig.queue.receive(1, 2, 0)
    await rig.queue.dead_letter(message, "Permanent: not a CallRequested \0")
    assert await rig.dead() == [('{"Zoë": 1}', "Permanent: not a CallRequested \ufffd")]
    assert await rig.queue.receive(1, 0, 1) == []


async def test_a_long_poll_wakes_when_another_process_sends(rig):
    other = await rig.open()
    waiting = asyncio.create_task(rig.queue.receive(10, 10, 30))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    await other.send(outgoing("wake"))
    assert [message.body for message in await waiting] == ["wake"]
    assert time.monotonic() - started < 1


async def test_an_empty_long_poll_ends_empty_after_its_wait(rig):
    started = time.monotonic()
    assert await rig.queue.receive(10, 1, 30) == []
    assert 0.9 < time.monotonic() - started < 2


async def test_two_receivers_never_hold_the_same_message(rig):
    await rig.queue.send(outgoing(*(str(number) for number in range(60))))
    other = await rig.open()
    shares = await asyncio.gather(*(queue.receive(10, 0, 60) for queue in (rig.queue, other) * 3))
    got = [message.message_id for share in shares for message in share]
    assert len(got) == len(set(got)) == 60


async def test_depth_counts_visible_messages_only(rig):
    assert await rig.queue.depth() == 0
    await rig.queue.send([*outgoing("a", "b", "c"), *outgoing("later", delay_s=900)])
    await rig.queue.receive(1, 0, 60)
    assert await rig.queue.depth() == 2


async def test_an_unavailable_server_raises_and_is_used_again_after_its_recovery(rig):
    await rig.queue.send(outgoing("before"))
    assert await rig.queue.receive(1, 5, 30)
    polling = asyncio.create_task(rig.queue.receive(1, 10, 1))
    await asyncio.sleep(0.1)
    await rig.proxy.close()
    with pytest.raises(QueueUnavailable):
        await polling
    for work in (
        lambda: rig.queue.send(outgoing("during")),
        lambda: rig.queue.receive(1, 0, 30),
        lambda: rig.queue.delete(["1.00000000-0000-0000-0000-000000000000"]),
        lambda: rig.queue.change_visibility(["1.00000000-0000-0000-0000-000000000000"], 5),
        rig.queue.depth,
    ):
        with pytest.raises(QueueUnavailable):
            await work()
    await rig.proxy.open()
    assert await rig.queue.send(outgoing("after")) == []
    # The server may still serve the poll that was cut off. A message that it takes returns after a second.
    received = await rig.queue.receive(10, 2, 30) or await rig.queue.receive(10, 5, 30)
    assert [message.body for message in received] == ["after"]
