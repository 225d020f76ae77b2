"""A person with two calls to us at once: their tasks are held until the last of them has ended."""

from datetime import timedelta
from itertools import permutations

import pytest

from tests.flows.business_operations.test_incoming_call import OURS, ended, event, held, ring

MOBILE, OFFICE = "+14155550100", "+14155550107"


async def ring_from(stack, number: str, key: str, call_id: str | None = None) -> dict:
    """The metadata of the answered call."""
    reply = await ring(stack, key=key, call_id=call_id, args={"from_number": number, "to_number": OURS})
    return reply.result["metadata"]


def ended_from(metadata: dict, call_id: str, number: str = MOBILE) -> dict:
    body = ended(metadata, call_id)
    body["call"]["from_number"] = number
    return body


async def shown(stack, call_id: str) -> tuple:
    task = await held(stack, call_id)
    return task["status"], task["due_at"]


async def test_the_end_of_the_first_call_leaves_the_task_held_for_the_second(stack):
    call_id = await stack.accept()
    first = await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    stack.clock.advance(120)
    second = await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    hold_ends = stack.clock.now() + timedelta(seconds=1800)
    stack.clock.advance(10)
    await stack.webhook(ended_from(first, "call_in_1"))
    assert await shown(stack, call_id) == ("held", hold_ends)
    stack.clock.advance(60)
    await stack.webhook(ended_from(second, "call_in_2"))
    assert await shown(stack, call_id) == ("pending", stack.clock.now())
    assert await stack.release_due() == 1
    assert (await stack.dial(call_id)).provider_call_id


async def test_the_second_call_may_end_first_and_the_hold_is_then_the_first_ones(stack):
    call_id = await stack.accept()
    first = await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    hold_ends = stack.clock.now() + timedelta(seconds=1800)
    stack.clock.advance(120)
    second = await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    await stack.webhook(ended_from(second, "call_in_2"))
    assert await shown(stack, call_id) == ("held", hold_ends)
    await stack.webhook(ended_from(first, "call_in_1"))
    assert await shown(stack, call_id) == ("pending", stack.clock.now())


@pytest.mark.parametrize("order", tuple(permutations(range(3))))
async def test_three_calls_from_two_numbers_may_end_in_any_order(stack, order):
    call_id = await stack.accept(contact_id="crm-42", phone=MOBILE)
    await stack.cancel(await stack.accept(contact_id="crm-42", phone=OFFICE))
    calls, holds = [], []
    for number, phone in enumerate((MOBILE, OFFICE, MOBILE)):
        metadata = await ring_from(stack, phone, f"inbound:{number}", f"call_in_{number}")
        calls.append(ended_from(metadata, f"call_in_{number}", phone))
        holds.append(stack.clock.now() + timedelta(seconds=1800))
        stack.clock.advance(90)
    over = set()
    for number in order:
        assert await shown(stack, call_id) == ("held", max(hold for n, hold in enumerate(holds) if n not in over))
        await stack.webhook(calls[number])
        await stack.webhook(calls[number] | {"event": "call_analyzed"})
        over.add(number)
    assert await shown(stack, call_id) == ("pending", stack.clock.now())


async def test_the_longest_hold_counts_when_the_first_call_is_asked_about_again(stack):
    call_id = await stack.accept()
    await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    stack.clock.advance(120)
    await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    hold_ends = stack.clock.now() + timedelta(seconds=1800)
    stack.clock.advance(1)
    await ring_from(stack, MOBILE, "inbound:1b", "call_in_1")
    assert await shown(stack, call_id) == ("held", hold_ends)


async def test_a_call_that_is_never_heard_of_again_holds_until_its_own_hold_is_over(stack):
    call_id = await stack.accept()
    await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    stack.clock.advance(120)
    second = await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    await stack.webhook(ended_from(second, "call_in_2"))
    stack.clock.advance(1679)
    assert await stack.release_due() == 0
    stack.clock.advance(1)
    assert await stack.release_due() == 1
    assert (await stack.dial(call_id)).provider_call_id


async def test_a_hold_that_is_over_does_not_keep_the_task_when_another_call_ends(stack):
    call_id = await stack.accept()
    await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    stack.clock.advance(1000)
    second = await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    stack.clock.advance(800)
    await stack.webhook(ended_from(second, "call_in_2"))
    assert await shown(stack, call_id) == ("pending", stack.clock.now())


async def test_each_task_is_held_by_its_own_peoples_calls_alone(stack):
    """Two contacts share a phone, and one of them has another: a call from there holds the one contact's tasks."""
    elsewhere = await stack.accept(contact_id="crm-42", phone=OFFICE)
    shared = await stack.accept(contact_id="crm-43", phone=MOBILE)
    own = await stack.accept(contact_id="crm-42", phone=MOBILE)
    first = await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    second = await ring_from(stack, OFFICE, "inbound:2", "call_in_2")
    assert [first["ringback_contact_id"], second["ringback_contact_id"]] == ["crm-42"] * 2
    assert [(await held(stack, call_id))["status"] for call_id in (shared, own, elsewhere)] == ["held"] * 3
    await stack.webhook(ended_from(first, "call_in_1"))
    statuses = [(await held(stack, call_id))["status"] for call_id in (shared, own, elsewhere)]
    assert statuses == ["pending", "held", "held"]
    await stack.webhook(ended_from(second, "call_in_2", OFFICE))
    statuses = [(await held(stack, call_id))["status"] for call_id in (shared, own, elsewhere)]
    assert statuses == ["pending"] * 3


async def test_a_start_heard_late_does_not_hold_for_a_call_that_is_over(stack):
    call_id = await stack.accept()
    first = await ring_from(stack, MOBILE, "inbound:1", "call_in_1")
    stack.clock.advance(120)
    second = await ring_from(stack, MOBILE, "inbound:2", "call_in_2")
    for metadata, name in ((second, "call_in_2"), (first, "call_in_1")):
        await stack.webhook(ended_from(metadata, name))
        await stack.webhook(event("call_started", metadata, name))
    assert (await held(stack, call_id))["status"] == "pending"
