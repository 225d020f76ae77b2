"""The consumer loop's rules, over a queue in memory."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from ringback.domain.errors import Permanent, Retryable, StoreUnavailable
from ringback.ports import OutgoingMessage
from tests.consumer_in_memory import QueueInMemory, consumer_of, running, until


async def test_handled_messages_are_deleted_in_tens():
    queue, handled = QueueInMemory(*(str(n) for n in range(40))), []

    async def handle(group):
        handled.extend(message.body for message in group)

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: not queue.rows)
    assert sorted(handled, key=int) == [str(n) for n in range(40)]
    assert [len(batch) for batch in queue.deletes] == [10, 10, 10, 10]
    assert (consumer.stats.received, consumer.stats.acked, consumer.stats.delete_calls) == (40, 40, 4)


async def test_a_lone_message_is_acknowledged_while_another_is_in_progress():
    queue, release = QueueInMemory("slow", "fast"), asyncio.Event()

    async def handle(group):
        if group[0].body == "slow":
            await release.wait()

    async with running(consumer_of(queue, handle)):
        await until(lambda: len(queue.rows) == 1, 0.5)
        release.set()
        await until(lambda: not queue.rows, 0.5)


async def test_a_group_that_fails_is_handled_one_by_one():
    queue, groups = QueueInMemory("a", "bad", "c"), []

    async def handle(group):
        groups.append([message.body for message in group])
        if "bad" in groups[-1]:
            raise Permanent("bad is bad")

    async with running(consumer_of(queue, handle, group_size=10)):
        await until(lambda: not queue.rows)
    assert groups == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]
    assert queue.dead == [("bad", "Permanent: bad is bad")]


async def test_groups_are_no_larger_than_the_group_size():
    queue, sizes = QueueInMemory(*(str(n) for n in range(10))), []

    async def handle(group):
        sizes.append(len(group))

    async with running(consumer_of(queue, handle, group_size=4)):
        await until(lambda: not queue.rows)
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("receive_count", "at_least_s", "at_most_s"), [(1, 20, 25), (2, 40, 50), (4, 160, 200), (9, 900, 900)]
)
async def test_a_retryable_message_returns_later_each_time(receive_count, at_least_s, at_most_s):
    queue = QueueInMemory("later")
    queue.rows["0"][2] = receive_count - 1

    async def handle(_):
        raise Retryable("not yet", retry_after_s=20)

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.retried)
    [(body, delay_s)] = queue.given_back
    assert body == "later"
    assert at_least_s <= delay_s <= at_most_s
    assert (consumer.stats.failures, consumer.stats.acked) == (0, 0)


async def test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload():
    queue = QueueInMemory("+14155550123", "good")

    async def handle(group):
        if group[0].body != "good":
            raise ValueError(group[0].body)

    with capture_logs() as lines:
        async with running(consumer_of(queue, handle)) as consumer:
            await until(lambda: consumer.stats.failures and consumer.stats.acked)
    assert [line["event"] for line in lines] == ["message.failed"]
    assert lines[0]["error"] == "ValueError"
    assert lines[0]["at"].startswith("test_consumer.py:")
    assert "4155550123" not in repr(lines)
    assert [body for body, delay_s in queue.given_back if delay_s >= 5] == ["+14155550123"]


async def test_a_message_that_cannot_be_put_to_the_dead_letters_stays_in_the_queue():
    class NoDeadLetters(QueueInMemory):
        async def dead_letter(self, message, reason):
            raise Permanent("no redrive policy")

    queue = NoDeadLetters("bad", "good")

    async def handle(group):
        if group[0].body == "bad":
            raise Permanent("bad")

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.acked)
    assert [row[0] for row in queue.rows.values()] == ["bad"]
    assert consumer.stats.dead == 0


async def test_no_more_messages_are_received_than_slots_are_free():
    queue, free = QueueInMemory(*(str(n) for n in range(9))), [0]

    async def handle(_): ...

    async def available_slots():
        return free[0]

    async with running(consumer_of(queue, handle, available_slots=available_slots)):
        await asyncio.sleep(0.12)
        assert queue.limits == []
        free[0] = 3
        await until(lambda: not queue.rows)
    assert set(queue.limits) == {3}


async def test_no_more_messages_are_in_flight_than_allowed():
    queue, now, most = QueueInMemory(*(str(n) for n in range(30))), [0], [0]

    async def handle(_):
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.01)
        now[0] -= 1

    async with running(consumer_of(queue, handle, max_in_flight=4)):
        await until(lambda: not queue.rows)
    assert most[0] == 4


async def test_work_longer_than_the_visibility_is_not_delivered_again():
    queue, seen = QueueInMemory("long"), []

    async def handle(group):
        seen.append(group[0].receive_count)
        await asyncio.sleep(1.5)

    async with running(consumer_of(queue, handle, visibility_s=1)):
        await until(lambda: not queue.rows)
    assert seen == [1]


async def test_messages_are_retried_in_place_without_a_receive_while_the_store_is_unavailable():
    queue, is_unavailable, handled = QueueInMemory(*(str(n) for n in range(25))), [True], []

    async def handle(group):
        if is_unavailable[0]:
            raise StoreUnavailable("gone")
        handled.extend((message.body, message.receive_count) for message in group)

    async with running(consumer_of(queue, handle, group_size=5)) as consumer:
        await asyncio.sleep(0.8)
        assert queue.limits[:2] == [10, 10]
        assert set(queue.limits[2:]) == {1}
        assert len(queue.limits) < 8
        is_unavailable[0] = False
        await until(lambda: not queue.rows, 6)
    assert sorted(handled, key=lambda pair: int(pair[0])) == [(str(n), 1) for n in range(25)]
    assert consumer.stats.retried == 0


async def test_a_message_returns_to_the_queue_when_it_alone_finds_the_store_unavailable(monkeypatch):
    monkeypatch.setattr("ringback.consumer.FIRST_PAUSE_S", 0.01)
    queue = QueueInMemory("blames")

    async def handle(group):
        if group[0].body == "blames":
            raise StoreUnavailable("reported")
        await queue.send([OutgoingMessage("another")] if len(queue.rows) < 2 else [])

    async with running(consumer_of(queue, handle)) as consumer:
        await queue.send([OutgoingMessage("first")])
        await until(lambda: consumer.stats.retried == 1)
        assert consumer.stats.acked > 0


async def test_an_unavailable_queue_is_polled_seldom_and_used_again_after_its_recovery():
    queue = QueueInMemory("one")
    queue.is_unavailable = True

    async def handle(_): ...

    with capture_logs() as lines:
        async with running(consumer_of(queue, handle)):
            await asyncio.sleep(0.5)
            assert 2 <= len(queue.limits) <= 5
            queue.is_unavailable = False
            await until(lambda: not queue.rows)
    told = [(line["event"], line["dependency"]) for line in lines]
    assert told == [("dependency.unavailable", "queue"), ("dependency.recovered", "queue")]


async def test_an_acknowledgement_is_repeated_after_it_failed():
    queue = QueueInMemory("one")

    async def handle(_):
        queue.is_unavailable = True

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.delete_calls == 1)
        queue.is_unavailable = False
        await until(lambda: not queue.rows)
    assert (consumer.stats.received, consumer.stats.acked) == (1, 1)


async def test_stop_receives_no_more_and_finishes_what_is_in_flight():
    queue = QueueInMemory("one", "two")

    async def handle(_):
        await asyncio.sleep(0.1)

    async with running(consumer_of(queue, handle, max_in_flight=1, wait_s=10)) as consumer:
        await until(lambda: consumer.stats.received == 1)
    assert [row[0] for row in queue.rows.values()] == ["two"]
    assert len(queue.limits) == 1


async def test_stop_cancels_a_long_poll():
    async def handle(_): ...

    started = time.monotonic()
    async with running(consumer_of(QueueInMemory(), handle, wait_s=20)):
        await asyncio.sleep(0.02)
    assert time.monotonic() - started < 0.6


async def test_stop_waits_no_longer_than_the_drain_limit():
    async def handle(_):
        await asyncio.sleep(60)

    queue, started = QueueInMemory("endless"), time.monotonic()
    async with running(consumer_of(queue, handle, drain_s=0.1)) as consumer:
        await until(lambda: consumer.stats.received)
    assert time.monotonic() - started < 1
    assert len(queue.rows) == 1


async def test_stop_returns_messages_that_wait_for_the_store():
    queue = QueueInMemory("one")

    async def handle(_):
        raise StoreUnavailable("gone")

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.received)
    assert queue.given_back == [("one", 1)]
