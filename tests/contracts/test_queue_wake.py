"""The embedded queue wakes its waiting receives, also after a lost connection."""

import asyncio
import time

import asyncpg
import pytest

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.wake import WakeUp
from ringback.ports import OutgoingMessage


@pytest.fixture
async def pool(queues_url):
    opened = await asyncpg.create_pool(queues_url, min_size=1, max_size=6, server_settings={"application_name": "wake"})
    yield opened
    opened.terminate()


async def test_a_notification_wakes_only_the_longest_waiting_receive():
    wake_up = WakeUp()
    first, second = (asyncio.create_task(wake_up.wait(5)) for _ in range(2))
    await asyncio.sleep(0)
    wake_up.notify()
    await asyncio.sleep(0.01)
    assert (first.done(), second.done()) == (True, False)
    wake_up.notify()
    await second


async def test_one_notification_without_a_waiter_is_kept_for_the_next():
    wake_up = WakeUp()
    wake_up.notify()
    wake_up.notify()
    await asyncio.wait_for(wake_up.wait(5), 0.1)
    started = time.monotonic()
    await wake_up.wait(0.05)
    assert time.monotonic() - started > 0.04


async def test_a_cancelled_waiter_passes_its_notification_on():
    wake_up = WakeUp()
    first, second = (asyncio.create_task(wake_up.wait(5)) for _ in range(2))
    await asyncio.sleep(0)
    wake_up.notify()
    first.cancel()
    await asyncio.wait_for(second, 0.1)
    assert first.cancelled()


async def test_a_waiting_receive_gets_a_message_in_milliseconds(pool, queues_url, monkeypatch):
    monkeypatch.setattr("ringback.adapters.postgres.message_queue.POLL_S", 60.0)
    queue = PostgresQueue(pool, "quick")
    delays_s = []
    for number in range(5):
        waiting = asyncio.create_task(queue.receive(10, 10, 30))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        await queue.send([OutgoingMessage(str(number))])
        assert await asyncio.wait_for(waiting, 5)
        delays_s.append(time.monotonic() - started)
    await queue.close()
    assert sorted(delays_s)[2] < 0.1


async def test_listening_starts_again_after_its_connection_was_cut(pool, queues_url, monkeypatch):
    monkeypatch.setattr("ringback.adapters.postgres.message_queue.POLL_S", 60.0)
    monkeypatch.setattr("ringback.loops.FIRST_PAUSE_S", 0.05)
    queue = PostgresQueue(pool, "cut")
    waiting = asyncio.create_task(queue.receive(10, 10, 30))
    await asyncio.sleep(0.1)
    killer = await asyncpg.connect(queues_url)
    await killer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wake'")
    await asyncio.sleep(0.3)
    await PostgresQueue(pool, "cut").send([OutgoingMessage("heard")])
    assert [message.body for message in await asyncio.wait_for(waiting, 5)] == ["heard"]
    await killer.close()
    await queue.close()


async def test_one_connection_listens_for_all_waiters_and_closing_returns_it(pool):
    queue = PostgresQueue(pool, "many")
    waiting = [asyncio.create_task(queue.receive(10, 0.3, 30)) for _ in range(5)]
    await asyncio.sleep(0.15)
    listening = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wake' AND query LIKE 'LISTEN%'"
    )
    assert listening == 1
    assert await asyncio.gather(*waiting) == [[]] * 5
    await queue.close()
    assert pool.get_idle_size() == pool.get_size()


async def test_a_backlog_wakes_further_waiters_batch_by_batch(pool, monkeypatch):
    monkeypatch.setattr("ringback.adapters.postgres.message_queue.POLL_S", 60.0)
    queue = PostgresQueue(pool, "backlog")
    waiting = [asyncio.create_task(queue.receive(10, 10, 30)) for _ in range(3)]
    await asyncio.sleep(0.15)
    await queue.send([OutgoingMessage(str(number)) for number in range(30)])
    shares = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert [len(share) for share in shares] == [10, 10, 10]
    await queue.close()


@pytest.mark.parametrize("name", ["", "two words", "x" * 41, 'a"b', "a;b"])
def test_a_queue_name_that_could_not_be_a_channel_is_refused(name):
    with pytest.raises(ValueError):
        PostgresQueue(None, name)


async def test_a_notification_at_the_moment_of_the_timeout_is_kept():
    wake_up = WakeUp()
    waiting = asyncio.create_task(wake_up.wait(10))
    await asyncio.sleep(0)
    wake_up._waiters[0].cancel()  # the effect of the timeout, one step before the waiting task resumes
    wake_up.notify()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(wake_up.wait(10), 1)
