"""A person is a phone and a contact: one attempt at a time, one cap and one gap, whichever of the two is shared."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from ringback.domain.call import TaskKind
from ringback.domain.provider_report import ProviderStatus
from ringback.storage import Suppression

from .twins import AMBIGUOUS, NOT_SENT, TALKED

CRM, MOBILE, OFFICE = "crm-1", "+14155550100", "+14155550107"


async def end(stack, message):
    attempt = await stack.attempt(message.call_id)
    await stack.hear(message.call_id, stack.provider.no_answer(attempt["attempt_id"], attempt["provider_call_id"]))


async def test_a_second_number_of_a_contact_waits_until_the_first_attempt_is_over(stack):
    mobile, office = await stack.accept(MOBILE, contact_id=CRM), await stack.accept(OFFICE, contact_id=CRM)
    await stack.place(mobile)
    await stack.place(office)
    assert [request.to_number for request in stack.provider.dials] == [MOBILE]
    assert await stack.last_rule(office.call_id) == "person_on_another_attempt"
    task = await stack.task(office.call_id)
    assert (task["status"], task["due_at"]) == ("pending", stack.clock.now() + timedelta(seconds=15))
    await end(stack, mobile)
    stack.clock.advance(15)
    await stack.place_due()
    assert [request.to_number for request in stack.provider.dials] == [MOBILE, OFFICE]


async def test_two_calls_to_two_numbers_of_a_contact_at_once_dial_one(stack):
    messages = [await stack.accept(phone, contact_id=CRM) for phone in (MOBILE, OFFICE) * 3]
    failed = await asyncio.gather(*(stack.place(message) for message in messages), return_exceptions=True)
    assert (failed, len(stack.provider.dials)) == ([None] * 6, 1)
    rules = [await stack.last_rule(message.call_id) for message in messages]
    assert sorted(rules) == ["admitted"] + ["person_on_another_attempt"] * 5


async def test_an_attempt_of_unclear_outcome_holds_the_contacts_other_number_too(stack):
    mobile, office = await stack.accept(MOBILE, contact_id=CRM), await stack.accept(OFFICE, contact_id=CRM)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(mobile)
    await stack.place(office)
    assert await stack.last_rule(office.call_id) == "person_on_another_attempt"


async def test_an_attempt_that_waits_does_not_hold_the_contacts_other_number(stack):
    mobile, office = await stack.accept(MOBILE, contact_id=CRM), await stack.accept(OFFICE, contact_id=CRM)
    stack.provider.script.append(NOT_SENT)
    await stack.place(mobile)
    await stack.place(office)
    assert await stack.last_rule(office.call_id) == "admitted"
    stack.clock.advance(60)
    (again,) = await stack.release()
    await stack.place(again)
    assert await stack.last_rule(mobile.call_id) == "person_on_another_attempt"


async def test_an_attempt_found_late_does_not_hold_a_person_who_is_on_another_number(stack):
    """It was given up, and rang all the same: two at once cannot be undone, but only one of them holds the person."""
    stack.with_deadlines(unknown_lookups_s=(5,))
    mobile, office = await stack.accept(MOBILE, contact_id=CRM), await stack.accept(OFFICE, contact_id=CRM)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(mobile)
    await stack.check_when_due(mobile.call_id)
    assert (await stack.attempt(mobile.call_id))["state"] == "abandoned"
    await stack.place(office)
    attempt = await stack.attempt(mobile.call_id)
    await stack.hear(mobile.call_id, stack.provider.rang(attempt["attempt_id"], "call_late"))
    held = [(await stack.attempt(message.call_id))["holds_person"] for message in (mobile, office)]
    assert held == [False, True]


async def test_the_daily_cap_counts_the_attempts_to_all_numbers_of_a_contact(stack):
    stack.with_policy(attempts_per_day=2)
    for phone in (MOBILE, OFFICE):
        message = await stack.accept(phone, contact_id=CRM)
        await stack.place(message)
        await end(stack, message)
        stack.clock.advance(3600)
    third = await stack.accept("+14155550108", contact_id=CRM)
    await stack.place(third)
    assert await stack.last_rule(third.call_id) == "attempts_per_day"
    assert (await stack.task(third.call_id))["due_at"] == stack.clock.now() + timedelta(hours=22)
    stack.clock.advance(22 * 3600)
    await stack.place_due()
    assert len(stack.provider.dials) == 3


async def test_the_daily_cap_counts_an_attempt_once_that_shares_phone_and_contact(stack):
    stack.with_policy(attempts_per_day=2)
    first = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(first)
    await end(stack, first)
    await stack.place(await stack.accept(MOBILE, contact_id=CRM))
    assert len(stack.provider.dials) == 2


async def test_the_daily_cap_counts_the_contacts_attempts_and_the_phones_together(stack):
    stack.with_policy(attempts_per_day=2)
    for phone, contact_id in ((MOBILE, "crm-2"), (OFFICE, CRM)):
        message = await stack.accept(phone, contact_id=contact_id)
        await stack.place(message)
        await end(stack, message)
    third = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(third)
    assert await stack.last_rule(third.call_id) == "attempts_per_day"


async def test_the_gap_holds_between_two_numbers_of_a_contact(stack):
    stack.with_policy(attempt_gap_s=900)
    mobile = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(mobile)
    await end(stack, mobile)
    office = await stack.accept(OFFICE, contact_id=CRM)
    await stack.place(office)
    assert await stack.last_rule(office.call_id) == "attempt_gap"
    assert (await stack.task(office.call_id))["due_at"] == stack.clock.now() + timedelta(seconds=900)


async def test_a_callback_to_another_number_is_exempt_from_cap_and_gap_and_never_from_the_other_attempt(stack):
    stack.with_policy(attempts_per_day=1, attempt_gap_s=900)
    mobile = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(mobile)
    callback = await stack.accept(OFFICE, contact_id=CRM, kind=TaskKind.CALLBACK)
    await stack.place(callback)
    assert await stack.last_rule(callback.call_id) == "person_on_another_attempt"
    await end(stack, mobile)
    stack.clock.advance(15)
    await stack.place_due()
    assert [request.to_number for request in stack.provider.dials] == [MOBILE, OFFICE]


async def test_two_contacts_with_different_numbers_do_not_wait_for_each_other(stack):
    for phone, contact_id in ((MOBILE, CRM), (OFFICE, "crm-2")):
        await stack.place(await stack.accept(phone, contact_id=contact_id))
    assert len(stack.provider.dials) == 2


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(4))
async def test_no_two_attempts_of_one_person_overlap_however_numbers_and_contacts_are_shared(stack, seed):
    """Calls to three contacts at three numbers, any with any, claimed by six workers at once and ended in any order.
    The provider's own ledger says which of them were live together."""
    rng = Random(seed)
    phones, contacts = [f"+1415555010{n}" for n in range(3)], [f"crm-{n}" for n in range(3)]
    pairs = [(rng.choice(phones), rng.choice(contacts)) for _ in range(24)]
    person = {}
    for phone, contact_id in pairs:
        message = await stack.accept(phone, contact_id=contact_id, due_at=stack.clock.now())
        person[message.call_id] = (phone, contact_id)
    live: set[str] = set()
    overlaps: list[tuple[str, str]] = []
    most_live = 0

    async def answer(request):
        nonlocal most_live
        call_id = request.metadata["ringback_call_id"]
        overlaps.extend((call_id, other) for other in live if set(person[call_id]) & set(person[other]))
        live.add(call_id)
        most_live = max(most_live, len(live))
        await asyncio.sleep(rng.random() * 0.003)

    stack.provider.during_dial = answer
    turns = asyncio.Semaphore(6)
    failed: list[BaseException] = []

    async def place(message):
        async with turns:
            try:
                await stack.place(message)
            except Exception as error:  # noqa: BLE001 - an error of any kind is a finding
                failed.append(error)

    for _ in range(100):
        messages = await stack.release()
        rng.shuffle(messages)
        await asyncio.gather(*(place(message) for message in messages))
        shared = "SELECT count(*) FROM attempts WHERE holds_person GROUP BY {} HAVING count(*) > 1"
        assert [await stack.all(shared.format(of)) for of in ("phone", "contact_id")] == [[], []]
        for call_id in rng.sample(sorted(live), rng.randint(0, len(live))):
            live.remove(call_id)
            attempt = await stack.attempt(call_id)
            await stack.hear(call_id, stack.provider.no_answer(attempt["attempt_id"], attempt["provider_call_id"]))
        if len(stack.provider.dials) == len(pairs):
            break
        stack.clock.advance(15)
    assert (overlaps, failed, len(stack.provider.dials)) == ([], [], len(pairs))
    assert most_live > 1, "different people were called at once"


async def test_a_stop_found_by_asking_locks_the_phones_before_the_contact(stack):
    """Else it has the contact and waits for a phone whose holder waits for the contact."""
    stopping = replace(TALKED, opt_out=True)
    office, mobile = await stack.accept(OFFICE, contact_id=CRM), await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(office)
    attempt = await stack.attempt(office.call_id)
    stack.provider.rang(attempt["attempt_id"], status=ProviderStatus.ENDED, end_facts=stopping)
    await stack.all("UPDATE attempts SET next_check_at = $1 RETURNING 1", stack.clock.now())
    async with stack.store.transaction() as tx:
        await tx.lock_contacts([MOBILE], None)
        asking = asyncio.create_task(stack.reconcile())
        while not await stack.all("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.005)
        assert await tx.lock_call(mobile.call_id) is not None
    await asking
    assert [row["reason"] for row in await stack.all("SELECT reason FROM suppressions")] == ["opt_out"]


async def test_a_claim_to_a_new_number_waits_for_a_stop_of_its_contact_that_is_not_committed_yet(stack):
    """The call was accepted while the suppression was being written, so it is not among those it ended."""
    stop = Suppression("s-1", None, CRM, "asked", "api", stack.clock.now())
    async with stack.store.transaction() as tx:
        await tx.lock_contacts(await tx.calls.phones_of_open(None, CRM), CRM)
        await tx.suppressions.add(stop)
        placing = asyncio.create_task(stack.place(await stack.accept(OFFICE, contact_id=CRM)))
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not placing.done() and not await stack.all(waiting):
            await asyncio.sleep(0.005)
    await placing
    assert stack.provider.dials == []
