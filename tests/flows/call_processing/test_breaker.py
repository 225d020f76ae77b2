"""An account that is refused stops all dialing for a while; one call tries it again, and nothing is burnt."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.attempt import DialAnswer, DialAnswerKind

from .twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, REFUSED


async def breaker(stack):
    return await stack.one("SELECT breaker_until, breaker_trips FROM installation")


async def open_for_s(stack):
    until = (await breaker(stack))["breaker_until"]
    return until and (until - stack.clock.now()).total_seconds()


async def refused(stack):
    message = await stack.accept()
    stack.provider.script.append(ACCOUNT_REFUSED)
    await stack.place(message)
    return message.call_id


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_refused_account_burns_nothing_and_tells_engage_nothing(stack, status):
    message = await stack.accept()
    stack.provider.script.append(DialAnswer(DialAnswerKind.ACCOUNT_REFUSED, f"http_{status}"))
    await stack.place(message)
    attempt, task = await stack.attempt(message.call_id), await stack.task(message.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("waiting", False, False)
    assert task["due_at"] == stack.clock.now() + timedelta(seconds=30)
    assert await stack.events(message.call_id) == []
    assert await open_for_s(stack) == 30


async def test_no_person_is_dialed_while_it_is_open(stack):
    await refused(stack)
    others = [await stack.accept() for _ in range(5)]
    await asyncio.gather(*map(stack.place, others))
    assert len(stack.provider.dials) == 1
    assert await stack.last_rule(others[0].call_id) == "account_breaker"
    due = {(await stack.task(message.call_id))["due_at"] for message in others}
    assert due == {stack.clock.now() + timedelta(seconds=30)}
    assert await stack.store.free_slots(100, 100, stack.clock.now()) == 0


async def test_one_call_probes_and_the_others_wait_for_its_answer(stack):
    await refused(stack)
    for _ in range(5):
        await stack.place(await stack.accept())
    stack.clock.advance(30)
    stack.provider.script.append(ACCOUNT_REFUSED)
    messages = await stack.release()
    assert len(messages) == 6
    await asyncio.gather(*map(stack.place, messages))
    assert len(stack.provider.dials) == 2


async def test_a_probe_that_is_placed_closes_it_for_all(stack):
    await refused(stack)
    stack.clock.advance(30)
    await stack.place_due()
    assert dict(await breaker(stack)) == {"breaker_until": None, "breaker_trips": 0}
    await stack.place(await stack.accept())
    assert len(stack.provider.dials) == 3


async def test_each_refused_probe_doubles_the_time_up_to_ten_minutes(stack):
    await refused(stack)
    times = []
    for _ in range(7):
        times.append(await open_for_s(stack))
        stack.clock.advance(times[-1])
        stack.provider.script.append(ACCOUNT_REFUSED)
        await stack.place_due()
    assert times == [30, 60, 120, 240, 480, 600, 600]
    assert len(stack.provider.dials) == 8


async def test_dials_that_were_out_when_it_opened_do_not_open_it_further(stack):
    messages = [await stack.accept() for _ in range(8)]
    all_out = asyncio.Event()

    async def wait_for_all(_):
        if len(stack.provider.dials) == len(messages):
            all_out.set()
        await all_out.wait()

    stack.provider.during_dial = wait_for_all
    stack.provider.script.extend([ACCOUNT_REFUSED] * len(messages))
    await asyncio.gather(*map(stack.place, messages))
    assert (await breaker(stack))["breaker_trips"] == 1
    assert await open_for_s(stack) == 30
    due = await stack.all("SELECT DISTINCT due_at FROM tasks WHERE status = 'pending'")
    assert [row["due_at"] for row in due] == [stack.clock.now() + timedelta(seconds=30)]


@pytest.mark.parametrize("answer", [DEFERRED, AMBIGUOUS, REFUSED])
async def test_only_a_placed_probe_proves_that_the_account_is_well(stack, answer):
    await refused(stack)
    stack.clock.advance(30)
    stack.provider.script.append(answer)
    await stack.place_due()
    assert (await breaker(stack))["breaker_trips"] == 1
    assert await open_for_s(stack) == 30, "until the probe's own time is over"
    stack.clock.advance(30)
    await stack.place(await stack.accept())
    assert await open_for_s(stack) is None


async def test_a_probe_whose_worker_died_is_followed_by_another(stack):
    await refused(stack)
    stack.clock.advance(30)
    (message,) = await stack.release()
    stack.provider.before_send = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await stack.place(message)
    stack.provider.before_send = None
    stack.clock.advance(30)
    await stack.place(await stack.accept())
    assert len(stack.provider.dials) == 2
    assert await open_for_s(stack) is None
