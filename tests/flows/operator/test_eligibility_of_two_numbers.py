"""Why a person with several numbers, or on an inbound call, is not called, by the eligibility check's rules."""

from datetime import datetime, timedelta

from .conftest import PHONE
from .test_eligibility import NOON, at, end_attempts, verdict

CRM, OFFICE = "crm-42", "+14155550107"


async def calls_us(pool, phone=PHONE, contact_id=CRM, *, until: datetime, tasks: bool = True):
    """An inbound call as `incoming_call` writes it down, with the tasks that it holds."""
    await pool.execute(
        "INSERT INTO inbound_calls (inbound_id, phone, to_number, contact_id, rang_at, hold_until)"
        " VALUES ('in-' || gen_random_uuid(), $1, '+14155550199', $2, $3, $4)",
        phone,
        contact_id,
        NOON,
        until,
    )
    if tasks:
        held = "UPDATE tasks SET status = 'held', due_before_hold = coalesce(due_before_hold, due_at), due_at = $1"
        await pool.execute(held, until)


async def test_a_person_on_another_number_is_said_so_by_either_number_and_by_contact(stack):
    await stack.deliver_first(await stack.accept(phone=PHONE))
    office = await stack.accept(phone=OFFICE)
    for asked in ({"phone": OFFICE}, {"contact_id": CRM}):
        told = await stack.explain(**asked)
        assert verdict(told) == (None, "person_on_another_attempt"), asked
        assert [task["call_id"] for task in told["open_tasks"]] == [office]
        assert [one["holds_person"] for one in told["attempts_last_24h"]] == [True]


async def test_a_number_never_called_waits_for_its_contacts_other_number(stack, pool):
    """Nothing is open, so this is what a call accepted now would meet."""
    await stack.deliver_first(await stack.accept(phone=PHONE))
    await pool.execute("UPDATE contacts SET phone = $1", OFFICE)
    assert verdict(await stack.explain(phone=OFFICE)) == (None, "person_on_another_attempt")
    await end_attempts(pool)
    assert verdict(await stack.explain(phone=OFFICE)) == (at(17, 15), "attempt_gap")


async def test_cap_and_gap_are_explained_over_all_numbers_and_then_kept(stack, clock, pool):
    for phone in (PHONE, OFFICE):
        await stack.deliver_first(await stack.accept(phone=phone))
        await end_attempts(pool)
        clock.advance(1800)
    call_id = await stack.accept(phone="+14155550108")
    told = await stack.explain(phone="+14155550108")
    assert verdict(told) == (at(17, day=2), "attempts_per_day")
    assert [one["sent_at"] for one in told["attempts_last_24h"]] == [at(17, 30), at(17)]
    clock.advance((datetime.fromisoformat(told["next_eligible_at"]) - clock.now()).total_seconds() - 1)
    await stack.deliver_first(call_id)
    assert len(stack.provider.dialed) == 2
    clock.advance(1)
    await stack.scheduled.release_due_calls()
    await stack.deliver_first(call_id)
    assert len(stack.provider.dialed) == 3


async def test_the_last_attempt_counts_for_the_gap_although_it_was_to_another_number(store, pool, clock, stack):
    """Of days ago, so that only being the contact's last one brings it into the file."""
    await stack.deliver_first(await stack.accept(phone=PHONE))
    await end_attempts(pool)
    clock.advance(2 * 86400)
    await stack.accept(phone=OFFICE)
    file = await stack.explanation.views.contact_snapshot(OFFICE, None, clock.now())
    assert file.facts(OFFICE, CRM, None, clock.now()).last_attempt_at == NOON
    assert file.facts(OFFICE, "crm-43", None, clock.now()).last_attempt_at is None


async def test_another_contact_of_the_phone_waits_for_their_own_attempts_too(stack):
    """Asked about one contact: the other one's open call to the shared phone is told, and why it waits."""
    await stack.deliver_first(await stack.accept("crm-43", phone=OFFICE))
    await stack.accept("crm-43", phone=PHONE)
    await stack.accept(CRM, phone=PHONE)
    told = await stack.explain(contact_id=CRM)
    assert sorted(task["because"] for task in told["open_tasks"]) == ["admitted", "person_on_another_attempt"]


async def test_during_an_inbound_call_the_person_is_on_it_and_no_time_is_promised(stack, pool):
    await stack.accept()
    await calls_us(pool, until=NOON + timedelta(minutes=30))
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (None, "person_on_inbound_call")
    (task,) = told["open_tasks"]
    assert (task["held"], task["due_at"], task["because"]) == (True, at(17, 30), "person_on_inbound_call")


async def test_a_task_planned_for_later_is_due_at_its_own_time_and_not_at_the_end_of_the_hold(stack, pool):
    await stack.accept(not_before=NOON + timedelta(hours=3))
    await calls_us(pool, until=NOON + timedelta(minutes=30))
    told = await stack.explain(phone=PHONE)
    assert (told["open_tasks"][0]["held"], verdict(told)) == (True, (at(20), "due_at"))


async def test_a_task_that_falls_due_within_the_hold_waits_for_the_call(stack, pool):
    await stack.accept(not_before=NOON + timedelta(minutes=10))
    await calls_us(pool, until=NOON + timedelta(minutes=30))
    assert verdict(await stack.explain(phone=PHONE)) == (None, "person_on_inbound_call")


async def test_a_call_from_one_number_holds_the_contacts_other_number(stack, pool):
    await stack.accept(phone=OFFICE)
    await calls_us(pool, phone=PHONE, until=NOON + timedelta(minutes=30))
    assert verdict(await stack.explain(phone=OFFICE)) == (None, "person_on_inbound_call")


async def test_a_call_of_another_contact_holds_no_contact_without_a_shared_number(stack, pool):
    """Both are in one file, because they have open calls to one phone."""
    await stack.accept(CRM, phone=PHONE)
    await stack.accept("crm-43", phone=PHONE)
    await stack.accept("crm-43", phone=OFFICE)
    await calls_us(pool, phone=OFFICE, contact_id="crm-43", until=NOON + timedelta(minutes=30), tasks=False)
    told = await stack.explain(phone=PHONE)
    assert sorted(task["because"] for task in told["open_tasks"]) == ["admitted", *["person_on_inbound_call"] * 2]


async def test_a_hold_that_is_over_holds_nothing(stack, pool, clock):
    await stack.accept()
    await calls_us(pool, until=NOON + timedelta(minutes=30))
    clock.advance(1800)
    assert verdict(await stack.explain(phone=PHONE)) == (at(17, 30), "admitted")


async def test_of_two_calls_the_longer_hold_counts(stack, pool, clock):
    await stack.accept()
    for minutes in (45, 30):
        await calls_us(pool, until=NOON + timedelta(minutes=minutes))
    clock.advance(1800)
    assert verdict(await stack.explain(phone=PHONE)) == (None, "person_on_inbound_call")
