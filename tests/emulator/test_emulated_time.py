"""Emulated calls in time that a program moves: they last as long as they say, and no real time passes."""

import asyncio
from dataclasses import replace

from ringback_emulator.emulated_time import MovedTime
from ringback_emulator.scenarios import Behaviour
from tests.emulator.conftest import CREATE_BODY, until

NOON_MS = 1_764_072_000_000


async def test_sleepers_wake_in_the_order_of_their_times():
    time, woken = MovedTime(NOON_MS), []

    async def sleep(name, due_ms):
        await time.sleep_until(due_ms)
        woken.append(name)

    sleepers = [asyncio.create_task(sleep(name, NOON_MS + ms)) for name, ms in (("b", 20), ("a", 10), ("past", -5))]
    await asyncio.sleep(0)
    assert (woken, time.asleep, time.next_due_ms) == (["past"], 2, NOON_MS + 10)
    sleepers[1].cancel()
    await asyncio.sleep(0)
    assert (time.asleep, time.next_due_ms) == (1, NOON_MS + 20)
    time.move_to(NOON_MS + 30)
    time.move_to(NOON_MS)
    await asyncio.gather(*sleepers, return_exceptions=True)
    assert (woken, time.now_ms(), time.next_due_ms) == (["past", "b"], NOON_MS + 30, None)


async def test_a_call_has_the_length_of_its_behaviour(settings, open_emulator):
    time = MovedTime(NOON_MS)

    def talks_for_an_hour(request, now_ms):
        assert (request.to_number, now_ms) == (CREATE_BODY["to_number"], NOON_MS)
        return Behaviour("05", ring_s=7.5, talk_s=3600.0)

    async def has_sleeper():
        return time.next_due_ms is not None

    playing = replace(settings, time=time, speed=1.0, behaviour_of=talks_for_an_hour)
    async with open_emulator(playing) as emulator:
        call_id = (await emulator.post(CREATE_BODY)).json()["call_id"]
        for _ in ("it rings", "it is answered", "its analysis is made"):
            await until(has_sleeper)
            time.move_to(int(time.next_due_ms))
        call = await emulator.finished(call_id)
    assert call["start_timestamp"] == NOON_MS + 7500
    assert call["duration_ms"] == 3_600_000
    assert call["disconnection_reason"] == "user_hangup"
