"""A row that Engage or the provider refuses is sent again, under its id, until it is delivered or dead."""

import random
from datetime import timedelta
from typing import Any

import pytest

from ringback.domain.errors import ProviderUnavailable, StoreUnavailable
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.ports import Delivery
from tests.outbox import deliver_outbox

DAY_S = 86400


async def test_a_retry_keeps_its_id(relay: OutboxRelay, outbox: Any, engage: Any) -> None:
    outbox.add("abt_event", "id-1", "call:1")
    engage.fail("id-1", 503, times=4)
    await outbox.record_all(relay)
    assert engage.seen == ["id-1"] * 5


async def test_a_row_refused_five_times_is_dead_and_lets_the_next_one_leave(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    first, second = outbox.add("abt_event", "first", "call:1"), outbox.add("abt_event", "second", "call:1")
    engage.fail("first", 422, times=99)
    await outbox.record_all(relay)
    assert engage.seen == ["first"] * 5 + ["second"]
    assert first.dead_at is not None
    assert first.last_error == "http_422"
    assert second.delivered_at is not None
    assert relay.stats.dead == {"abt_event": 1}


async def test_the_row_behind_a_dead_one_leaves_in_the_same_go(relay: OutboxRelay, outbox: Any, engage: Any) -> None:
    first, second = outbox.add("abt_event", "first", "call:1"), outbox.add("abt_event", "second", "call:1")
    first.tries = first.refusals = 4
    engage.fail("first", 422, times=1)
    await deliver_outbox(relay)
    assert (first.open, second.open) == (False, False)


async def test_an_outage_is_no_refusal_so_one_refusal_behind_it_kills_nothing(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    row = outbox.add("abt_event", "id-1", "call:1")
    engage.answers["id-1"] = [
        Delivery(False, permanent=status < 500, detail=f"http_{status}")
        for status in (503, 503, 503, 503, 503, 404, 404, 503, 404, 404)
    ]
    await outbox.record_all(relay)
    assert row.delivered_at is not None
    assert (row.tries, row.refusals) == (11, 4)


async def test_a_row_refused_less_than_five_times_lives(relay: OutboxRelay, outbox: Any, engage: Any) -> None:
    row = outbox.add("abt_event", "id-1", "call:1")
    engage.fail("id-1", 422, times=4)
    await outbox.record_all(relay)
    assert row.delivered_at is not None


@pytest.mark.parametrize("seed", range(5))
async def test_an_engage_that_stays_unavailable_is_given_up_after_about_a_day(
    outbox: Any, engage: Any, clock: Any, seed: int
) -> None:
    relay = OutboxRelay(outbox, clock, random.Random(seed), engage=engage)
    started = clock.now()
    row = outbox.add("abt_event", "id-1", "call:1")
    engage.fail("id-1", 503, times=1000)
    await outbox.record_all(relay)
    assert row.dead_at is not None
    assert 0.7 * DAY_S < (row.dead_at - started).total_seconds() < 1.4 * DAY_S


async def test_a_row_that_waited_for_days_behind_another_has_every_try_left(
    relay: OutboxRelay, outbox: Any, engage: Any, clock: Any
) -> None:
    row = outbox.add("abt_event", "id-1", "call:1")
    clock.advance(3 * DAY_S)
    engage.fail("id-1", 503, times=3)
    await outbox.record_all(relay)
    assert row.delivered_at is not None


async def test_engages_own_wish_is_waited_before_the_draw(
    relay: OutboxRelay, outbox: Any, engage: Any, clock: Any
) -> None:
    row = outbox.add("abt_event", "id-1", "call:1")
    engage.answers["id-1"] = [Delivery(False, detail="http_429", retry_after_s=600.0)]
    await deliver_outbox(relay)
    assert timedelta(seconds=600) <= row.due_at - clock.now() <= timedelta(seconds=601)


async def test_a_stop_is_asked_for_again_until_the_provider_heard_it(outbox: Any, clock: Any) -> None:
    asked: list[str] = []

    async def stop_call(provider_call_id: str) -> None:
        asked.append(provider_call_id)
        if len(asked) < 3:
            raise ProviderUnavailable("no answer")

    relay = OutboxRelay(outbox, clock, random.Random(1), stop_call=stop_call)
    row = outbox.add("stop_call", "stop:1", payload={"provider_call_id": "call_abc"})
    await outbox.record_all(relay)
    assert asked == ["call_abc"] * 3
    assert row.last_error == "provider_unavailable"


async def test_a_row_sent_but_not_marked_is_sent_again_under_its_id_after_the_lease(
    relay: OutboxRelay, outbox: Any, engage: Any, clock: Any
) -> None:
    row = outbox.add("abt_event", "id-1", "call:1")

    async def fall_over_when_marking(*_: Any) -> None:
        raise StoreUnavailable("gone")

    mark, outbox.outbox_delivered = outbox.outbox_delivered, fall_over_when_marking
    with pytest.raises(StoreUnavailable):
        await deliver_outbox(relay)
    outbox.outbox_delivered = mark
    await deliver_outbox(relay)
    assert engage.seen == ["id-1"]
    clock.advance(60)
    await deliver_outbox(relay)
    assert engage.seen == ["id-1", "id-1"]
    assert row.delivered_at is not None


async def test_when_nothing_gets_through_the_rest_of_the_backlog_waits_for_the_next_pass(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    for number in range(200):
        outbox.add("abt_event", f"id-{number}", f"call:{number}")
        engage.fail(f"id-{number}", 503, times=1)
    await deliver_outbox(relay)
    assert len(engage.seen) == 50
    await outbox.record_all(relay)
    assert not any(row.open for row in outbox.rows)


async def test_a_defect_in_one_delivery_does_not_unmark_the_others(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    outbox.add("abt_event", "fine-1", "call:1")
    outbox.add("abt_event", "defect", "call:2")
    outbox.add("abt_event", "fine-2", "call:3")
    engage.defects.add("defect")
    await deliver_outbox(relay)
    assert [(row.message_id, row.last_error) for row in outbox.rows if row.open] == [("defect", "ZeroDivisionError")]


async def test_a_row_that_always_fails_is_dead_after_its_tries_and_holds_up_no_other(
    relay: OutboxRelay, outbox: Any, engage: Any
) -> None:
    defect = outbox.add("abt_event", "defect", "call:1")
    outbox.add("abt_event", "later", "call:1")
    engage.defects.add("defect")
    await outbox.record_all(relay)
    assert (defect.dead_at is not None, defect.tries) == (True, 60)
    assert engage.seen[-1] == "later"
