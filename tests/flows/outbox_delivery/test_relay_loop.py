"""The loop: woken or polling, through absent databases and hanging receivers, until it is stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ringback import loops
from ringback.flows import outbox_delivery
from ringback.flows.outbox_delivery import OutboxRelay, OutboxWakeup, run_relay
from ringback.loops import Loops
from tests.outbox import deliver_outbox


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(relay: OutboxRelay, poll_s: float) -> AsyncIterator[OutboxWakeup]:
    wakeup, stop = OutboxWakeup(), asyncio.Event()
    task = asyncio.create_task(run_relay(relay, wakeup, stop, Loops(), poll_s))
    await asyncio.sleep(0.01)
    try:
        yield wakeup
    finally:
        stop.set()
        async with asyncio.timeout(2):
            await task


async def test_a_wake_delivers_at_once(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    async with running(relay, poll_s=60) as wakeup:
        outbox.add_call_message(1)
        await asyncio.sleep(0.02)
        assert queue.batches == []
        takes = outbox.takes
        wakeup.notify(["call_message"])
        await until(lambda: len(queue.batches) == 1)
        await asyncio.sleep(0.02)
        assert outbox.takes - takes == 2, "a pass of the channel that is named, and one more because it delivered"


async def test_a_wake_for_another_kind_delivers_nothing(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    async with running(relay, poll_s=60) as wakeup:
        outbox.add_call_message(1)
        wakeup.notify(["abt_event", "a kind of a newer version"])
        await asyncio.sleep(0.05)
        assert queue.batches == []


async def test_wakes_for_another_kind_do_not_stop_the_poll(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    async with running(relay, poll_s=0.1) as wakeup:
        outbox.add_call_message(1)
        async with asyncio.timeout(2):
            while not queue.batches:
                wakeup.notify(["abt_event"])
                await asyncio.sleep(0.005)


async def test_a_wake_during_a_pass_is_not_missed(
    relay: OutboxRelay, outbox: Any, engage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_delivery, "STRAGGLER_S", 60)
    engage.hold["first"] = asyncio.Event()
    outbox.add("abt_event", "first", "call:1")
    async with running(relay, poll_s=60) as wakeup:
        await until(lambda: engage.seen == ["first"])
        outbox.add("abt_event", "second", "call:2")
        wakeup.notify(["abt_event"])
        await asyncio.sleep(0.01)
        engage.hold["first"].set()
        await until(lambda: engage.seen == ["first", "second"])


async def test_without_a_wake_the_poll_delivers(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    async with running(relay, poll_s=0.02):
        outbox.add_call_message(1)
        await until(lambda: len(queue.batches) == 1)


async def test_the_loop_outlives_an_absent_database(
    relay: OutboxRelay, outbox: Any, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 0.005)
    outbox.away = 5
    outbox.add_call_message(1)
    async with running(relay, poll_s=0.01):
        await until(lambda: len(queue.batches) == 1)
    assert outbox.away == 0


async def test_a_stop_finishes_the_deliveries_in_progress_and_starts_no_other(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    engage.hold["first"] = asyncio.Event()
    outbox.add("abt_event", "first", "call:1")
    outbox.add("abt_event", "second", "call:1")
    stop = asyncio.Event()
    task = asyncio.create_task(run_relay(relay, OutboxWakeup(), stop, Loops()))
    await until(lambda: engage.seen == ["first"])
    stop.set()
    await asyncio.sleep(0.01)
    assert not task.done()
    engage.hold["first"].set()
    async with asyncio.timeout(2):
        await task
    assert [(row.message_id, row.open) for row in outbox.rows] == [("first", False), ("second", True)]


async def test_a_hanging_row_holds_up_neither_other_calls_nor_dialing(
    relay: OutboxRelay, outbox: Any, engage: Any, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_delivery, "STRAGGLER_S", 0.01)
    engage.hold["slow"] = asyncio.Event()
    slow = outbox.add("abt_event", "slow", "call:1")
    for name in ("b1", "b2", "b3"):
        outbox.add("abt_event", name, "call:2")
    outbox.add_call_message(1)
    running = asyncio.create_task(deliver_outbox(relay))
    await until(lambda: engage.seen == ["slow", "b1", "b2", "b3"] and len(queue.batches) == 1)
    await asyncio.sleep(0.03)
    outbox.add("abt_event", "late", "call:3")
    await until(lambda: "late" in engage.seen)
    assert slow.open
    engage.hold["slow"].set()
    await running
    assert not any(row.open for row in outbox.rows)


async def test_no_more_than_fifty_rows_are_sent_at_once_to_a_hanging_engage(
    relay: OutboxRelay, outbox: Any, engage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_delivery, "STRAGGLER_S", 0.005)
    answer = asyncio.Event()
    for number in range(120):
        if number >= 30:
            engage.hold[f"id-{number}"] = answer
        outbox.add("abt_event", f"id-{number}", f"call:{number}")
    running = asyncio.create_task(deliver_outbox(relay))
    await until(lambda: len(engage.seen) >= 30 + 50)
    await asyncio.sleep(0.05)
    assert len(engage.seen) == 30 + 50
    answer.set()
    await running
    assert len(engage.seen) == 120


def let_all_wait(outbox: Any, engage: Any, events: int, times: int) -> None:
    """Events of as many calls, each of which Engage's proxy answers with 503 so often."""
    for number in range(events):
        engage.fail(f"id-{number}", 503, times)
        outbox.add("abt_event", f"id-{number}", f"call:{number}")


async def test_an_unavailable_engage_is_left_alone_whatever_wakes_its_channel(
    relay: OutboxRelay, outbox: Any, engage: Any, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(loops, "LONGEST_PAUSE_S", 60.0)
    let_all_wait(outbox, engage, 120, times=100)
    async with running(relay, poll_s=0.005) as wakeup:
        await until(lambda: len(engage.seen) >= 50)
        for _ in range(20):
            outbox.add("abt_event", "another", "call:another")
            wakeup.notify(["abt_event"])
            await asyncio.sleep(0.002)
        outbox.add_call_message(1)
        wakeup.notify(["call_message"])
        await until(lambda: len(queue.batches) == 1)
    assert len(engage.seen) == 50


async def test_one_row_at_a_time_finds_out_that_engage_works_again(
    relay: OutboxRelay, outbox: Any, engage: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(loops, "LONGEST_PAUSE_S", 0.001)
    let_all_wait(outbox, engage, 120, times=1)
    async with running(relay, poll_s=0.001):
        # 50 at once; then, one after the other, 70 that were never tried, and the last answer is still a 503. A row's
        # next time is written after the answer, and must not be after the clock has moved.
        await until(lambda: relay.stats.postponed["abt_event"] == 120)
        assert len(engage.seen) == 120
        assert all(row.open and row.tries == 1 for row in outbox.rows)
        clock.advance(5)
        await until(lambda: not any(row.open for row in outbox.rows))
    assert {row.tries for row in outbox.rows} == {2}


async def test_rows_that_fail_alone_do_not_slow_the_others(
    relay: OutboxRelay, outbox: Any, engage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 60.0)
    engage.fail("refused", 500, 100)
    async with running(relay, poll_s=0.001):
        outbox.add("abt_event", "refused", "call:0")
        await until(lambda: "refused" in engage.seen)
        outbox.add("abt_event", "good", "call:1")
        await until(lambda: "good" in engage.seen)
