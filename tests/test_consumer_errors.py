"""Messages of another version, and unexpected errors of the queue."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ringback.consumer import ANOTHER_VERSION_WAITS_S
from ringback.domain.errors import AnotherVersion, Permanent
from ringback.loops import Loop, Loops
from ringback.ports import OutgoingMessage
from tests.consumer_in_memory import QueueInMemory, consumer_of, running, until


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


async def test_a_message_of_another_version_is_dead_lettered_after_an_hour_with_its_reason():
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


@pytest.mark.parametrize("method", ["receive", "delete", "change_visibility", "dead_letter"])
async def test_the_consumer_continues_after_an_unexpected_error_of_the_queue(method):
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


async def test_a_consumer_with_constant_errors_is_failing_and_ends_at_stop():
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
