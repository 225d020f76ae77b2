"""An account that is refused stops all dialing for a while; one call tries it again, and nothing is burnt."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.dial import DialAnswer, DialAnswerKind

from .twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, REFUSED


async def breaker(desk):
    return await desk.one("SELECT breaker_until, breaker_trips FROM installation")


async def open_for_s(desk):
    until = (await breaker(desk))["breaker_until"]
    return until and (until - desk.clock.now()).total_seconds()


async def refused(desk):
    message = await desk.accept()
    desk.provider.script.append(ACCOUNT_REFUSED)
    await desk.place(message)
    return message.call_id


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_refused_account_burns_nothing_and_tells_engage_nothing(desk, status):
    message = await desk.accept()
    desk.provider.script.append(DialAnswer(DialAnswerKind.ACCOUNT_REFUSED, f"http_{status}"))
    await desk.place(message)
    attempt, task = await desk.attempt(message.call_id), await desk.task(message.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("waiting", False, False)
    assert task["due_at"] == desk.clock.now() + timedelta(seconds=30)
    assert await desk.events(message.call_id) == []
    assert await open_for_s(desk) == 30


async def test_nobody_is_dialed_while_it_is_open(desk):
    await refused(desk)
    others = [await desk.accept() for _ in range(5)]
    await asyncio.gather(*map(desk.place, others))
    assert len(desk.provider.dials) == 1
    assert await desk.last_rule(others[0].call_id) == "account_breaker"
    due = {(await desk.task(message.call_id))["due_at"] for message in others}
    assert due == {desk.clock.now() + timedelta(seconds=30)}
    assert await desk.store.free_slots(100, 100, desk.clock.now()) == 0


async def test_one_call_probes_and_the_others_wait_for_its_answer(desk):
    await refused(desk)
    for _ in range(5):
        await desk.place(await desk.accept())
    desk.clock.advance(30)
    desk.provider.script.append(ACCOUNT_REFUSED)
    messages = await desk.release()
    assert len(messages) == 6
    await asyncio.gather(*map(desk.place, messages))
    assert len(desk.provider.dials) == 2


async def test_a_probe_that_is_placed_closes_it_for_all(desk):
    await refused(desk)
    desk.clock.advance(30)
    await desk.place_due()
    assert dict(await breaker(desk)) == {"breaker_until": None, "breaker_trips": 0}
    await desk.place(await desk.accept())
    assert len(desk.provider.dials) == 3


async def test_each_refused_probe_doubles_the_time_up_to_ten_minutes(desk):
    await refused(desk)
    times = []
    for _ in range(7):
        times.append(await open_for_s(desk))
        desk.clock.advance(times[-1])
        desk.provider.script.append(ACCOUNT_REFUSED)
        await desk.place_due()
    assert times == [30, 60, 120, 240, 480, 600, 600]
    assert len(desk.provider.dials) == 8


async def test_dials_that_were_out_when_it_opened_do_not_open_it_further(desk):
    messages = [await desk.accept() for _ in range(8)]
    all_out = asyncio.Event()

    async def wait_for_all(_):
        if len(desk.provider.dials) == len(messages):
            all_out.set()
        await all_out.wait()

    desk.provider.during_dial = wait_for_all
    desk.provider.script.extend([ACCOUNT_REFUSED] * len(messages))
    await asyncio.gather(*map(desk.place, messages))
    assert (await breaker(desk))["breaker_trips"] == 1
    assert await open_for_s(desk) == 30
    due = await desk.all("SELECT DISTINCT due_at FROM tasks WHERE status = 'pending'")
    assert [row["due_at"] for row in due] == [desk.clock.now() + timedelta(seconds=30)]


@pytest.mark.parametrize("answer", [DEFERRED, AMBIGUOUS, REFUSED])
async def test_only_a_placed_probe_proves_that_the_account_is_well(desk, answer):
    await refused(desk)
    desk.clock.advance(30)
    desk.provider.script.append(answer)
    await desk.place_due()
    assert (await breaker(desk))["breaker_trips"] == 1
    assert await open_for_s(desk) == 30, "until the probe's own time is over"
    desk.clock.advance(30)
    await desk.place(await desk.accept())
    assert await open_for_s(desk) is None


async def test_a_probe_whose_worker_died_is_followed_by_another(desk):
    await refused(desk)
    desk.clock.advance(30)
    (message,) = await desk.release()
    desk.provider.before_send = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await desk.place(message)
    desk.provider.before_send = None
    desk.clock.advance(30)
    await desk.place(await desk.accept())
    assert len(desk.provider.dials) == 2
    assert await open_for_s(desk) is None
