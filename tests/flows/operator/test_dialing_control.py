"""All dialing stops: acknowledged at once, and nothing is claimed after the acknowledgement."""

import asyncio
import itertools
import time

import pytest

from tests.audit_log import TESTER


async def count(pool, statement="SELECT count(*) FROM attempts"):
    return await pool.fetchval(statement)


async def test_a_pause_is_told_and_a_second_one_keeps_its_time(api, clock):
    first = (await api.post("/v1/dialing/pause", json={"reason": "wrong script"})).json()
    assert first == {"paused": True, "paused_at": "2026-12-01T17:00:00.000Z", "reason": "wrong script", "live": 0}
    clock.advance(60)
    assert (await api.post("/v1/dialing/pause")).json() == first
    assert (await api.post("/v1/dialing/pause", json={"reason": "still"})).json() == first | {"reason": "still"}
    running = {"paused": False, "paused_at": None, "reason": None, "live": 0}
    ended = {"was_paused_at": first["paused_at"], "was_reason": "still"}
    assert (await api.post("/v1/dialing/resume")).json() == running | ended
    assert (await api.post("/v1/dialing/resume")).json() == running | dict.fromkeys(ended)


@pytest.mark.parametrize("body", [b'{"reason": 5}', b'{"why": "x"}', b"[]", b"{", b'{"reason": "a\\u0000"}'])
async def test_a_malformed_pause_is_refused_and_nothing_is_paused(api, pool, body):
    answer = await api.post("/v1/dialing/pause", content=body)
    assert answer.status_code == 422
    assert await count(pool, "SELECT paused_at FROM installation") is None


async def test_strangers_cannot_pause(api):
    assert (await api.post("/v1/dialing/pause", headers={"X-API-Key": "rbk_other"})).status_code == 401


async def test_a_message_that_arrives_while_paused_dials_no_phone_and_its_call_stays_open(api, stack, pool):
    call_id = await stack.accept()
    await api.post("/v1/dialing/pause")
    await stack.deliver_first(call_id)
    assert stack.provider.dialed == []
    assert await count(pool, "SELECT status FROM tasks") == "pending"
    detail = await count(pool, "SELECT detail FROM gate_decisions")
    assert (detail["verdict"], detail["rule"], detail["paused"]) == ("wait", "paused", True)


async def test_nothing_is_released_or_published_again_while_paused_and_everything_after(api, stack, pool, clock):
    lost = await stack.accept("crm-1", "+14155550101")
    due = await stack.accept("crm-2", "+14155550102", not_before=clock.now().replace(hour=18))
    await pool.execute("UPDATE outbox SET delivered_at = $1", clock.now())
    await api.post("/v1/dialing/pause")
    clock.advance(2 * 3600)
    assert await stack.scheduled.release_due_calls() == 0
    assert await stack.scheduled.publish_lost_calls() == 0
    await api.post("/v1/dialing/resume")
    assert await stack.scheduled.release_due_calls() == 1
    assert await stack.scheduled.publish_lost_calls() == 1
    for call_id in (lost, due):
        await stack.deliver_first(call_id)
    assert len(stack.provider.dialed) == 2


async def test_what_rings_already_goes_on_and_is_counted(api, stack):
    await stack.deliver_first(await stack.accept())
    assert (await api.post("/v1/dialing/pause")).json()["live"] == 1


async def test_a_pause_waits_for_the_claim_in_progress_and_every_later_one_sees_it(stack, pool, store, clock):
    async with store.transaction() as claim:
        assert not (await claim.capacity.lock(clock.now())).paused
        pausing = asyncio.create_task(stack.steering.pause("now", TESTER))
        await asyncio.sleep(0.1)
        assert not pausing.done(), "acknowledged before the claim was committed"
    assert (await pausing)["paused"] is True
    async with store.transaction() as claim:
        assert (await claim.capacity.lock(clock.now())).paused


async def test_nothing_is_claimed_after_an_acknowledged_pause(stack, pool):
    """Eight times forty claims at once, and a pause somewhere among them, each time later."""
    numbers = itertools.count()
    for pause_after_s in (0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15):
        calls = [await stack.accept(f"crm-{stack.new_id()}", f"+1415555{next(numbers):04d}") for n in range(40)]
        claimed, pending = await race(stack, pool, calls, pause_after_s)
        assert claimed + pending == 40
        await stack.steering.resume(TESTER)
        await pool.execute("DELETE FROM tasks WHERE status = 'pending'")
        await pool.execute("UPDATE attempts SET holds_person = false")


async def race(stack, pool, calls, pause_after_s):
    """How many were claimed, and how many wait."""
    before, acknowledged = await count(pool), []

    async def pause() -> None:
        await asyncio.sleep(pause_after_s)
        began_s = time.monotonic()
        await stack.steering.pause(None, TESTER)
        acknowledged.append(await count(pool))
        assert time.monotonic() - began_s < 1

    await asyncio.gather(pause(), *(stack.deliver_first(call_id) for call_id in calls))
    assert acknowledged == [await count(pool)]
    assert len(stack.provider.dialed) == acknowledged[0]
    return acknowledged[0] - before, await count(pool, "SELECT count(*) FROM tasks WHERE status = 'pending'")
