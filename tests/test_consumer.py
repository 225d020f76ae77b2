"""The consumer loop's rules, over a queue in memory."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from ringback.consumer import ANOTHER_VERSION_WAITS_S, Consumer, Pace
from ringback.domain.errors import AnotherVersion, Permanent, QueueUnavailable, Retryable, StoreUnavailable
from ringback.loops import Loop, Loops
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage


class QueueInMemory(MessageQueue):
    """Does what the contract says, and remembers what it was asked."""

    def __init__(self, *bodies: str) -> None:
        self.rows = {str(n): [body, 0.0, 0] for n, body in enumerate(bodies)}  # body, visible at, receive count
        self.limits: list[int] = []
        self.deletes: list[list[str]] = []
        self.given_back: list[tuple[str, int]] = []
        self.dead: list[tuple[str, str]] = []
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise QueueUnavailable("away")

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        for message in messages:
            self.rows[str(len(self.rows))] = [message.body, 0.0, 0]
        return []

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        self.limits.append(limit)
        give_up_at = time.monotonic() + wait_s
        while True:
            self._check()
            got = []
            for key, row in self.rows.items():
                if row[1] <= time.monotonic() and len(got) < limit:
                    row[1] = time.monotonic() + visibility_s
                    row[2] += 1
                    got.append(ReceivedMessage(key, f"{key}.{row[2]}", row[0], row[2]))
            if got or time.monotonic() > give_up_at:
                return got
            await asyncio.sleep(0.005)

    def _row(self, receipt: str) -> list | None:
        key, _, count = receipt.partition(".")
        row = self.rows.get(key)
        return row if row and row[2] == int(count) else None

    async def delete(self, receipts: Sequence[str]) -> None:
        self._check()
        self.deletes.append(list(receipts))
        for receipt in receipts:
            if self._row(receipt):
                del self.rows[receipt.partition(".")[0]]

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        self._check()
        for receipt in receipts:
            if row := self._row(receipt):
                row[1] = time.monotonic() + visibility_s
                self.given_back.append((row[0], visibility_s))

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        self._check()
        self.dead.append((message.body, reason))
        del self.rows[message.message_id]

    async def depth(self) -> int:
        return len(self.rows)

    async def close(self) -> None:
        pass


def consumer_of(queue, handle, *, free_places=None, loop=None, **pace) -> Consumer:
    settings = {"max_in_flight": 50, "wait_s": 0.05, "visibility_s": 30, "drain_s": 2.0, **pace}
    loop, rng = loop or Loop("consumer", "calls"), random.Random(7)
    return Consumer(queue, handle, Pace(**settings), loop=loop, rng=rng, free_places=free_places)


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[Consumer]:
    stop = asyncio.Event()
    run = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await run


async def until(condition, limit_s: float = 3.0) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    while not condition():
        assert clock() < deadline, f"it had not come about within {limit_s} s"
        await asyncio.sleep(0.002)


async def test_what_was_handled_is_deleted_in_tens():
    queue, handled = QueueInMemory(*(str(n) for n in range(40))), []

    async def handle(group):
        handled.extend(message.body for message in group)

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: not queue.rows)
    assert sorted(handled, key=int) == [str(n) for n in range(40)]
    assert [len(batch) for batch in queue.deletes] == [10, 10, 10, 10]
    assert (consumer.stats.received, consumer.stats.acked, consumer.stats.delete_calls) == (40, 40, 4)


async def test_a_lone_message_is_acknowledged_while_another_is_still_worked_on():
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


async def test_groups_are_no_larger_than_asked():
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


@pytest.mark.parametrize(("receives_before", "hidden_s"), [(0, 60), (1, 600), (2, 1200), (3, 1800)])
async def test_a_message_of_another_version_goes_back_for_long(receives_before, hidden_s):
    queue = QueueInMemory("newer")
    queue.rows["0"][2] = receives_before

    async def handle(_):
        raise AnotherVersion("message is a CallRequested of version 2")

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.retried)
    assert (queue.given_back, queue.dead) == ([("newer", hidden_s)], [])
    assert consumer.stats.failures == 0


async def test_a_message_of_another_version_is_dead_after_an_hour_with_its_reason():
    queue = QueueInMemory("newer")
    queue.rows["0"][2] = 4

    async def handle(_):
        raise AnotherVersion("message is a CallRequested of version 2")

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.dead)
    reason = "Permanent: message is a CallRequested of version 2; no process knew it for an hour"
    assert queue.dead == [("newer", reason)]


def test_a_rollout_of_an_hour_fits_into_the_receives_that_a_queue_allows():
    assert sum(ANOTHER_VERSION_WAITS_S) >= 3600
    assert len(ANOTHER_VERSION_WAITS_S) < 5, "the receive limit of docs/operations.md"


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


async def test_without_free_places_nothing_is_received_and_then_no_more_than_are_free():
    queue, free = QueueInMemory(*(str(n) for n in range(9))), [0]

    async def handle(_): ...

    async def free_places():
        return free[0]

    async with running(consumer_of(queue, handle, free_places=free_places)):
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


async def test_while_the_store_is_away_messages_wait_here_and_burn_no_receive():
    queue, away, handled = QueueInMemory(*(str(n) for n in range(25))), [True], []

    async def handle(group):
        if away[0]:
            raise StoreUnavailable("gone")
        handled.extend((message.body, message.receive_count) for message in group)

    async with running(consumer_of(queue, handle, group_size=5)) as consumer:
        await asyncio.sleep(0.8)
        assert queue.limits[:2] == [10, 10]
        assert set(queue.limits[2:]) == {1}
        assert len(queue.limits) < 8
        away[0] = False
        await until(lambda: not queue.rows, 6)
    assert sorted(handled, key=lambda pair: int(pair[0])) == [(str(n), 1) for n in range(25)]
    assert consumer.stats.retried == 0


async def test_a_message_that_alone_blames_the_store_is_given_back_and_blocks_nobody(monkeypatch):
    monkeypatch.setattr("ringback.consumer.FIRST_PAUSE_S", 0.01)
    queue = QueueInMemory("blames")

    async def handle(group):
        if group[0].body == "blames":
            raise StoreUnavailable("says it")
        await queue.send([OutgoingMessage("another")] if len(queue.rows) < 2 else [])

    async with running(consumer_of(queue, handle)) as consumer:
        await queue.send([OutgoingMessage("first")])
        await until(lambda: consumer.stats.retried == 1)
        assert consumer.stats.acked > 0


async def test_a_queue_that_is_away_is_asked_seldom_and_used_again_when_it_is_back():
    queue = QueueInMemory("one")
    queue.away = True

    async def handle(_): ...

    with capture_logs() as lines:
        async with running(consumer_of(queue, handle)):
            await asyncio.sleep(0.5)
            assert 2 <= len(queue.limits) <= 5
            queue.away = False
            await until(lambda: not queue.rows)
    assert [line["event"] for line in lines] == ["world.away", "world.back"]


async def test_an_acknowledgement_that_failed_is_made_again():
    queue = QueueInMemory("one")

    async def handle(_):
        queue.away = True

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.delete_calls == 1)
        queue.away = False
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


async def test_stop_cuts_off_a_long_poll():
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


async def test_stop_gives_back_what_waits_for_the_store():
    queue = QueueInMemory("one")

    async def handle(_):
        raise StoreUnavailable("gone")

    async with running(consumer_of(queue, handle)) as consumer:
        await until(lambda: consumer.stats.received)
    assert queue.given_back == [("one", 1)]


@pytest.mark.parametrize("method", ["receive", "delete", "change_visibility", "dead_letter"])
async def test_an_unforeseen_error_of_the_queue_is_waited_out_and_the_loop_goes_on(method):
    class Broken(QueueInMemory):
        errors = 4

    async def broken(self, *arguments):
        if self.errors:
            self.errors -= 1
            raise KeyError("+14155550123")
        return await getattr(QueueInMemory, method)(self, *arguments)

    setattr(Broken, method, broken)
    queue = Broken("good", "bad", "slow")

    async def handle(group):
        if group[0].body == "bad":
            raise Permanent("bad")
        if group[0].body == "slow":
            await asyncio.sleep(0.7)

    loop = Loop("consumer", "calls")
    with capture_logs() as lines:
        consumer = consumer_of(queue, handle, loop=loop, visibility_s=1)
        async with running(consumer):
            await until(lambda: loop.failures, 5)
            await queue.send([OutgoingMessage("later")])
            await until(lambda: "later" not in [row[0] for row in queue.rows.values()], 5)
            await until(lambda: not loop.failures_in_a_row)
    assert {line["event"] for line in lines} >= {"consumer.failed"}
    assert "4155550123" not in repr(lines)


async def test_a_consumer_that_is_always_in_error_is_failing_and_ends_at_stop():
    class Broken(QueueInMemory):
        async def receive(self, limit, wait_s, visibility_s):
            raise KeyError("Body")

    async def handle(_): ...

    loops = Loops()
    async with running(consumer_of(Broken(), handle, loop=loops.named("consumer", "calls"))) as consumer:
        await until(loops.failing, 5)
        assert consumer.stats.receive_calls == 3, "each error is followed by a pause"
    assert loops.failing() == ["consumer.calls"]
    assert dict(loops.failures())["consumer.calls"] >= 3
