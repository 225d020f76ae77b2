"""Calls that are placed together: they are claimed in one transaction, and no call is dialed before its commit."""

import asyncio
from collections import Counter

import pytest

from ringback.domain.attempt import DialRequest
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.failpoints import Failpoint, arm

from .twins import ACCOUNT_REFUSED


@pytest.fixture(autouse=True)
def reached():
    """Count the times that each failpoint was reached."""
    counted = Counter()
    arm(lambda point: counted.update([point]))
    yield counted
    arm(None)


async def messages_of(stack, count):
    """Messages of accepted calls, to people of their own."""
    await stack.place(await stack.accept())  # the first unit reads the salt of the hashes, before it begins
    stack.provider.dials.clear()
    return [await stack.accept() for _ in range(count)]


async def place_all(stack, messages):
    """The errors, in the order of the messages."""
    return await asyncio.gather(*map(stack.place, messages), return_exceptions=True)


async def test_calls_placed_together_are_claimed_in_one_transaction(stack, reached):
    messages = await messages_of(stack, 8)
    reached.clear()
    assert await place_all(stack, messages) == [None] * 8
    assert len(stack.provider.dials) == 8
    assert reached[Failpoint.GROUP_COUNTED] == 1
    dialed = await stack.all("SELECT xmin::text FROM tasks WHERE status = 'consumed' AND call_id <> 'call-1'")
    assert len(dialed) == 8
    assert len({row["xmin"] for row in dialed}) == 1


async def test_a_claim_of_a_group_is_seen_by_others_before_it_is_dialed(stack):
    messages = await messages_of(stack, 8)
    seen = []

    async def look(request: DialRequest):
        query = "SELECT state FROM attempts WHERE attempt_id = $1"
        seen.append((await stack.one(query, request.idempotency_key))["state"])

    stack.provider.during_dial = look
    await place_all(stack, messages)
    assert seen == ["dialing"] * 8


@pytest.mark.parametrize("point", [Failpoint.GROUP_COUNTED, Failpoint.GROUP_FLUSHING, Failpoint.GROUP_FLUSHED])
async def test_a_group_that_is_not_committed_dials_nothing(stack, point):
    messages = await messages_of(stack, 8)

    def fail(reached):
        if reached == point:
            raise ConnectionResetError

    arm(fail)
    assert [type(end) for end in await place_all(stack, messages)] == [StoreUnavailable] * 8
    assert stack.provider.dials == []
    arm(None)
    assert await place_all(stack, messages) == [None] * 8
    assert len(stack.provider.dials) == 8


async def test_each_claim_of_a_group_takes_a_slot_of_its_own(stack, reached):
    messages = await messages_of(stack, 8)
    stack.with_policy(max_live_calls=4)  # one of them is taken
    await place_all(stack, messages)
    assert reached[Failpoint.GROUP_COUNTED] >= 1
    assert len(stack.provider.dials) == 3


async def test_one_claim_of_a_group_tries_a_refused_account(stack):
    messages = await messages_of(stack, 6)
    await stack.all(
        "UPDATE installation SET breaker_until = $1, breaker_reason = 'http_402', breaker_trips = 1 RETURNING 1",
        stack.clock.now(),
    )
    stack.provider.script.append(ACCOUNT_REFUSED)
    await place_all(stack, messages)
    assert len(stack.provider.dials) == 1


async def test_a_claim_that_loses_its_task_does_not_stop_the_others(stack, monkeypatch):
    """The compare-and-set is the last net. The claim is made to read another dispatch than there is."""
    messages = await messages_of(stack, 6)
    lost = messages[2]
    read = type(stack.processing)._read_case

    async def read_stale(self, tx, call, message, now):
        case = await read(self, tx, call, message, now)
        if message == lost:
            case.task.dispatch += 1
            tx._rows.remember(case.task)
        return case

    monkeypatch.setattr(type(stack.processing), "_read_case", read_stale)
    ends = await place_all(stack, messages)
    assert [type(end) for end in ends] == [type(None)] * 2 + [Retryable] + [type(None)] * 3
    assert len(stack.provider.dials) == 5
    monkeypatch.undo()
    await stack.place(lost)
    assert len(stack.provider.dials) == 6
