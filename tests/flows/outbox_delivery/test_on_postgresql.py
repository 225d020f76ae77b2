"""The relay over the real outbox table and the real queue in the database."""

import asyncio
import random
from dataclasses import asdict
from typing import Any

import pytest
from structlog.testing import capture_logs

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.abt_event import AbtEvent
from ringback.flows.outbox_delivery import LEASE_S, OutboxRelay
from ringback.messages import CallRequested, decode_call_requested
from ringback.ports import Delivery
from tests.outbox import deliver_outbox


@pytest.fixture
def relay(store: PostgresStore, engage: Any, clock: Any) -> OutboxRelay:
    return OutboxRelay(store, clock, random.Random(5), engage=engage)


async def emit(store: PostgresStore, clock: Any, *facts: tuple[str, int]) -> None:
    async with store.transaction() as unit:
        for call_id, sequence in facts:
            event = AbtEvent(f"{call_id}/{sequence}", "voice_ai_call_started", call_id, clock.now(), {"city": "Zürich"})
            await unit.outbox.enqueue_event(event, clock.now())


async def test_events_of_a_call_leave_in_order_however_often_some_fail(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, *((f"call-{call}", sequence) for sequence in range(3) for call in range(10)))
    for call in range(10):
        engage.fail(f"call-{call}/{call % 3}", 503, times=call % 4)
    for _ in range(12):
        await deliver_outbox(relay)
        clock.advance(8)
    for call in range(10):
        told = [name for name in engage.seen if name.startswith(f"call-{call}/")]
        assert told == sorted(told)
        assert len(told) == 3 + call % 4
    assert relay.stats.delivered == {"abt_event": 30}


async def test_refusals_are_counted_apart_from_the_tries_of_an_outage(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, ("call-1", 1))
    engage.fail("call-1/1", 503, times=7)
    engage.answers["call-1/1"] += [Delivery(False, permanent=True, detail="http_404")] * 4
    for _ in range(12):
        await deliver_outbox(relay)
        clock.advance(4000)
    assert engage.seen == ["call-1/1"] * 12
    assert relay.stats.delivered == {"abt_event": 1}


async def test_what_waits_behind_a_failed_row_is_due_with_it_and_leaves_with_it(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any, pool: Any
) -> None:
    await emit(store, clock, ("call-1", 1), ("call-1", 2), ("call-2", 1))
    engage.fail("call-1/1", 503, times=1)
    await deliver_outbox(relay)
    waiting = await pool.fetch("SELECT due_at > $1 AS later FROM outbox WHERE delivered_at IS NULL", clock.now())
    assert [row["later"] for row in waiting] == [True, True]
    clock.advance(2)
    await deliver_outbox(relay)
    assert engage.seen == ["call-1/1", "call-2/1", "call-1/1", "call-1/2"]


async def test_a_dead_event_lets_the_next_one_of_its_call_leave(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, ("call-1", 1), ("call-1", 2))
    engage.fail("call-1/1", 404, times=99)
    for _ in range(6):
        await deliver_outbox(relay)
        clock.advance(20)
    assert engage.seen == ["call-1/1"] * 5 + ["call-1/2"]


async def test_several_relays_share_the_rows_and_none_is_carried_twice(
    store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, *((f"call-{number % 40}", number) for number in range(200)))
    relays = [OutboxRelay(store, clock, random.Random(seed), engage=engage) for seed in range(3)]
    await asyncio.gather(*(deliver_outbox(relay) for relay in relays))
    assert len(engage.seen) == len(set(engage.seen)) == 200


async def test_what_a_dead_relay_held_is_free_after_the_lease(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, ("call-1", 1), ("call-1", 2))
    assert len(await relay.take(relay.channels[0], 50)) == 1
    await deliver_outbox(relay)
    assert engage.seen == []
    clock.advance(LEASE_S)
    await deliver_outbox(relay)
    assert engage.seen == ["call-1/1", "call-1/2"]


async def test_a_requested_call_reaches_the_queue_once(store: PostgresStore, pool: Any, clock: Any) -> None:
    queue = PostgresQueue(pool, "calls")
    relay = OutboxRelay(store, clock, random.Random(1), queue=queue)
    requests = [CallRequested(f"call-{number}", f"task-{number}", 1) for number in range(13)]
    for _ in range(2):
        async with store.transaction() as unit:
            for request in requests:
                name = f"{request.task_id}:{request.dispatch}"
                await unit.outbox.enqueue("call_message", name, asdict(request), None, clock.now())
        await deliver_outbox(relay)
    received = [await queue.receive(10, 0, 30) for _ in range(3)]
    messages = [decode_call_requested(message.body) for batch in received for message in batch]
    assert sorted(messages, key=str) == sorted(requests, key=str)
    await queue.close()


async def test_a_delivered_event_is_one_line_of_the_log_and_every_result_is_counted(
    relay: OutboxRelay, store: PostgresStore, engage: Any, clock: Any
) -> None:
    await emit(store, clock, ("call-1", 1))
    engage.fail("call-1/1", 503, times=1)
    with capture_logs() as lines:
        await deliver_outbox(relay)
        clock.advance(8)
        await deliver_outbox(relay)
    (line,) = [line for line in lines if line["event"] == "event.delivered"]
    assert (line["call_id"], line["event_id"], line["type"]) == ("call-1", "call-1/1", "voice_ai_call_started")
    assert (line["attempt_id"], line["tries"]) == (None, 2)
    changes = [(one["event"], one["dependency"]) for one in lines if one["event"].startswith("dependency.")]
    assert changes == [("dependency.unavailable", "engage"), ("dependency.recovered", "engage")]
    assert relay.stats.results == {("engage", "postponed"): 1, ("engage", "delivered"): 1}
