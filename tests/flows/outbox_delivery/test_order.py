"""Rows of one key leave in order, rows of other keys do not wait for them."""

import asyncio
import random
from typing import Any

from ringback.flows.outbox_delivery import OutboxRelay
from tests.outbox import deliver_outbox


async def test_a_calls_events_leave_one_after_the_other(relay: OutboxRelay, outbox: Any, engage: Any) -> None:
    for name in ("initiated", "started", "completed"):
        outbox.add("abt_event", name, "call:1")
    await deliver_outbox(relay)
    assert engage.seen == ["initiated", "started", "completed"]
    assert outbox.delivered_statements == [[1], [2], [3]]


async def test_a_failed_event_holds_back_the_later_ones_of_its_call_only(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    for name in ("a1", "a2"):
        outbox.add("abt_event", name, "call:a")
    for name in ("b1", "b2"):
        outbox.add("abt_event", name, "call:b")
    engage.fail("a1", 503, times=1)
    await deliver_outbox(relay)
    assert engage.seen == ["a1", "b1", "b2"]
    await outbox.record_all(relay)
    assert engage.seen == ["a1", "b1", "b2", "a1", "a2"]


async def test_order_is_kept_and_nothing_is_lost_under_random_failures(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    rng = random.Random(11)
    for sequence in range(6):
        for call in range(20):
            name = f"{call}/{sequence}"
            outbox.add("abt_event", name, f"call:{call}")
            engage.fail(name, 503, times=rng.choice((0, 0, 1, 3)))
    await outbox.record_all(relay)
    for call in range(20):
        told = [name for name in engage.seen if name.startswith(f"{call}/")]
        assert told == sorted(told)
        assert set(told) == {f"{call}/{sequence}" for sequence in range(6)}


async def test_rows_of_one_pass_are_marked_in_one_statement(relay: OutboxRelay, outbox: Any) -> None:
    for number in range(30):
        outbox.add("abt_event", f"id-{number}", f"call:{number}")
    await deliver_outbox(relay)
    assert outbox.delivered_statements == [list(range(1, 31))]


async def test_a_backlog_longer_than_a_pass_leaves_in_one_go(relay: OutboxRelay, outbox: Any) -> None:
    for number in range(333):
        outbox.add("abt_event", f"id-{number}", f"call:{number}")
    await deliver_outbox(relay)
    assert not any(row.open for row in outbox.rows)
    assert relay.stats.delivered == {"abt_event": 333}


async def test_two_relays_never_carry_the_same_row_at_once(outbox: Any, engage: Any, clock: Any) -> None:
    for number in range(120):
        outbox.add("abt_event", f"id-{number}", f"call:{number % 7}")
    relays = [OutboxRelay(outbox, clock, random.Random(seed), engage=engage) for seed in (1, 2)]
    await asyncio.gather(*(deliver_outbox(relay) for relay in relays))
    assert sorted(engage.seen) == sorted(f"id-{number}" for number in range(120))


async def test_without_a_receiver_rows_wait_untouched(outbox: Any, queue: Any, clock: Any) -> None:
    event = outbox.add("abt_event", "id-1", "call:1")
    outbox.add_call_message(1)
    await deliver_outbox(OutboxRelay(outbox, clock, random.Random(1), queue=queue))
    assert (event.open, event.tries) == (True, 0)
    assert len(queue.batches) == 1
