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


async def mark(stack, emulated):
    await stack.pool.execute("UPDATE installation SET emulated = $1", emulated)


@pytest.fixture(params=CROSSINGS, ids=lambda each: f"{each[0]}-{each[1]}")
def crossing(request):
    return request.param


async def put_across(stack, crossing):
    installation, stack.provider.emulated = crossing
    await mark(stack, installation)


async def test_a_claim_across_the_border_dials_no_phone_and_the_call_waits(stack, crossing):
    message = await stack.accept()
    await put_across(stack, crossing)
    await stack.place(message)
    assert stack.provider.dials == []
    assert await stack.attempts(message.call_id) == []
    task = await stack.task(message.call_id)
    assert (task["status"], task["due_at"]) == ("pending", stack.clock.now() + timedelta(seconds=5))
    assert await stack.last_rule(message.call_id) == "across_the_border"
    assert await stack.event_types(message.call_id) == []


async def test_a_waiting_call_is_dialed_once_both_are_on_one_side(stack):
    message = await stack.accept()
    await put_across(stack, (REAL, UNKNOWN))
    await stack.place(message)
    stack.provider.emulated = REAL
    stack.clock.advance(5)
    (again,) = await stack.release()
    await stack.place(again)
    assert len(stack.provider.dials) == 1


async def test_the_mark_is_read_within_the_claim_and_not_before(stack, monkeypatch):
    """A worker that began before the mark was written reads it after its locks."""
    message = await stack.accept()
    await mark(stack, UNKNOWN)
    told = stack.provider.is_emulated

    async def told_and_marked():
        await mark(stack, REAL)
        return await told()

    monkeypatch.setattr(stack.provider, "is_emulated", told_and_marked)
    await stack.place(message)
    assert stack.provider.dials == []


async def test_an_unclear_attempt_is_not_looked_up_on_the_other_side(stack, crossing):
    message = await stack.accept()
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(message)
    await put_across(stack, crossing)
    with pytest.raises(AcrossTheBorder):
        await stack.reconcile(after_s=6)
    attempt = await stack.attempt(message.call_id)
    assert (stack.provider.lookups, attempt["lookups"], attempt["state"]) == (0, 0, "unknown")
    assert attempt["next_check_at"] <= stack.clock.now()


async def test_a_silent_call_is_not_asked_for_on_the_other_side(stack, crossing):
    message = await stack.accept()
    await stack.place(message)
    await put_across(stack, crossing)
    with pytest.raises(AcrossTheBorder):
        await stack.reconcile(after_s=181)
    assert (stack.provider.polls, (await stack.attempt(message.call_id))["state"]) == (0, "placed")


async def test_a_call_is_not_stopped_on_the_other_side_and_the_row_stays_due(stack, crossing):
    await put_across(stack, crossing)
    with pytest.raises(AcrossTheBorder):
        await stop_call_here(stack.store, stack.provider, "call_1")
    assert stack.provider.stopped == []


async def test_a_call_of_this_side_is_stopped(stack):
    await stop_call_here(stack.store, stack.provider, "call_1")
    assert stack.provider.stopped == ["call_1"]
