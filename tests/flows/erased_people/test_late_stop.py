"""A stop holds whenever it is heard of: of an erased person it is kept, and nothing else is."""

import pytest

from ringback.flows.suppression import SuppressionOrder, suppress_now
from tests.audit_log import TESTER

from .conftest import CONTACT, PHONE, ErasureStack
from .test_late_evidence import LATE, call_us

STOPS = ["a stop", "inbound stop", "function do_not_call"]


@pytest.mark.parametrize("late", STOPS)
async def test_a_stop_that_is_heard_of_after_the_erasure_holds(stack: ErasureStack, late):
    talk = await stack.place()
    await stack.whole_call(talk)
    marks = await call_us(stack)
    await stack.erase()
    await LATE[late](stack, talk, marks)
    await LATE[late](stack, talk, marks)
    await stack.deliver_all()
    (stop,) = await stack.all("SELECT phone, contact_id, phone_hash FROM suppressions")
    assert (stop["phone"], stop["contact_id"]) == (None, None)
    assert await stack.found() == set()
    again = await stack.post_call(key="another-order")
    assert again.status == "failed"
    assert (await stack.post_call(key="a-third", phone="+14155550161")).status != "failed"


async def test_it_ends_what_is_planned_for_the_person_who_came_again(stack: ErasureStack):
    talk = await stack.place()
    await stack.whole_call(talk)
    await stack.erase()
    planned = await stack.post_call(key="another-order", not_before=stack.clock.now().replace(hour=23))
    await LATE["a stop"](stack, talk, {})
    call = await stack.call(planned.call_id)
    assert (call["status"], call["final"], call["contact_id"]) == ("failed", True, CONTACT)
    assert await stack.all("SELECT phone FROM suppressions WHERE phone = $1", PHONE) == []


@pytest.mark.parametrize(
    ("stopped", "again"),
    [
        ({"phone": "+14155550177", "contact_id": CONTACT}, {"phone": "+14155550177", "contact_id": "crm-other"}),
        ({"phone": PHONE, "contact_id": "crm-other"}, {"phone": "+14155550177", "contact_id": "crm-other"}),
    ],
    ids=["another number", "another contact"],
)
async def test_a_stop_goes_on_for_all_that_it_names_though_no_other_row_of_the_person_does(
    stack: ErasureStack, stopped, again
):
    talk = await stack.place()
    await stack.whole_call(talk)
    await suppress_now(
        stack.store, stack.clock, stack.new_id, SuppressionOrder(reason="asked", **stopped, actor=TESTER)
    )
    await stack.erase()
    assert (await stack.post_call(key="another-order", **again)).status == "failed"
