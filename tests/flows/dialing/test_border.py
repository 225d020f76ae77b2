"""Nothing is dialed, looked up or stopped across the border between the emulator and the real Retell."""

from datetime import timedelta

import pytest

from ringback.domain.errors import AcrossTheBorder
from ringback.flows.border import stop_call_here

from .twins import AMBIGUOUS

EMULATED, REAL, UNKNOWN = True, False, None
#: (the installation's mark, what the provider is)
CROSSINGS = [
    (REAL, EMULATED),
    (EMULATED, REAL),
    (UNKNOWN, EMULATED),
    (UNKNOWN, REAL),
    (EMULATED, UNKNOWN),
    (REAL, UNKNOWN),
]


async def mark(desk, emulated):
    await desk.pool.execute("UPDATE installation SET emulated = $1", emulated)


@pytest.fixture(params=CROSSINGS, ids=lambda each: f"{each[0]}-{each[1]}")
def crossing(request):
    return request.param


async def put_across(desk, crossing):
    installation, desk.provider.emulated = crossing
    await mark(desk, installation)


async def test_a_claim_across_the_border_dials_nobody_and_the_call_waits(desk, crossing):
    message = await desk.accept()
    await put_across(desk, crossing)
    await desk.place(message)
    assert desk.provider.dials == []
    assert await desk.attempts(message.call_id) == []
    task = await desk.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", desk.clock.now() + timedelta(seconds=5))
    assert await desk.last_rule(message.call_id) == "across_the_border"
    assert await desk.event_types(message.call_id) == []


async def test_a_waiting_call_is_dialed_once_both_are_on_one_side(desk):
    message = await desk.accept()
    await put_across(desk, (REAL, UNKNOWN))
    await desk.place(message)
    desk.provider.emulated = REAL
    desk.clock.advance(5)
    (again,) = await desk.release()
    await desk.place(again)
    assert len(desk.provider.dials) == 1


async def test_the_mark_is_read_within_the_claim_and_not_before(desk, monkeypatch):
    """A worker that began before the mark was written finds it behind its locks."""
    message = await desk.accept()
    await mark(desk, UNKNOWN)
    told = desk.provider.is_emulated

    async def told_and_marked():
        await mark(desk, REAL)
        return await told()

    monkeypatch.setattr(desk.provider, "is_emulated", told_and_marked)
    await desk.place(message)
    assert desk.provider.dials == []


async def test_an_unclear_attempt_is_not_looked_up_on_the_other_side(desk, crossing):
    message = await desk.accept()
    desk.provider.script.append(AMBIGUOUS)
    await desk.place(message)
    await put_across(desk, crossing)
    with pytest.raises(AcrossTheBorder):
        await desk.look_after(after_s=6)
    attempt = await desk.attempt(message.call_id)
    assert (desk.provider.lookups, attempt["lookups"], attempt["state"]) == (0, 0, "unknown")
    assert attempt["next_check_at"] <= desk.clock.now()


async def test_a_silent_call_is_not_asked_for_on_the_other_side(desk, crossing):
    message = await desk.accept()
    await desk.place(message)
    await put_across(desk, crossing)
    with pytest.raises(AcrossTheBorder):
        await desk.look_after(after_s=181)
    assert (desk.provider.polls, (await desk.attempt(message.call_id))["state"]) == (0, "placed")


async def test_a_call_is_not_stopped_on_the_other_side_and_the_row_stays_due(desk, crossing):
    await put_across(desk, crossing)
    with pytest.raises(AcrossTheBorder):
        await stop_call_here(desk.store, desk.provider, "call_1")
    assert desk.provider.stopped == []


async def test_a_call_of_this_side_is_stopped(desk):
    await stop_call_here(desk.store, desk.provider, "call_1")
    assert desk.provider.stopped == ["call_1"]
