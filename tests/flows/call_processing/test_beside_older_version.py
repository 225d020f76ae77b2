"""The version that held the phone alone may run beside this one, and its rows are there after it."""

import asyncpg
import pytest

CRM, MOBILE, OFFICE = "crm-1", "+14155550100", "+14155550107"
#: The older version neither writes this column nor clears it.
CLAIMED_BY_OLDER = "UPDATE attempts SET holds_contact = NULL RETURNING 1"
LET_GO_BY_OLDER = "UPDATE attempts SET state = 'ended', holds_person = false, holds_slot = false RETURNING 1"


async def two_live_attempts(stack):
    """The older version has let both numbers of one contact ring."""
    messages = [await stack.accept(MOBILE, contact_id=CRM), await stack.accept(OFFICE, contact_id="crm-2")]
    for message in messages:
        await stack.place(message)
    await stack.all(CLAIMED_BY_OLDER)
    await stack.all("UPDATE attempts SET contact_id = $1 RETURNING 1", CRM)
    await stack.all("UPDATE calls SET contact_id = $1 RETURNING 1", CRM)
    return messages


async def end(stack, message):
    attempt = await stack.attempt(message.call_id)
    await stack.hear(message.call_id, stack.provider.no_answer(attempt["attempt_id"], attempt["provider_call_id"]))


async def test_two_live_attempts_of_one_contact_both_hold_them_until_the_last_one_ends(stack):
    first, second = await two_live_attempts(stack)
    third = await stack.accept("+14155550108", contact_id=CRM)
    await stack.place(third)
    assert await stack.last_rule(third.call_id) == "person_on_another_attempt"
    for message, rule in ((first, "person_on_another_attempt"), (second, "admitted")):
        await end(stack, message)
        stack.clock.advance(15)
        await stack.place_due()
        assert await stack.last_rule(third.call_id) == rule


async def test_the_database_takes_the_older_versions_claim_beside_an_attempt_of_this_one(stack):
    await stack.place(await stack.accept(MOBILE, contact_id=CRM))
    await stack.place(await stack.accept(OFFICE, contact_id="crm-2"))
    older = (
        "UPDATE attempts SET contact_id = $1, holds_contact = NULL WHERE contact_id = 'crm-2' RETURNING holds_person"
    )
    assert await stack.all(older, CRM) == [{"holds_person": True}]


async def test_a_contact_that_the_older_version_let_go_is_free(stack):
    first = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(first)
    await stack.all(LET_GO_BY_OLDER)
    assert (await stack.attempt(first.call_id))["holds_contact"] is True, "it stays, and means nothing"
    second = await stack.accept(OFFICE, contact_id=CRM)
    await stack.place(second)
    assert await stack.last_rule(second.call_id) == "admitted"


async def test_the_database_refuses_a_second_attempt_of_this_version_that_would_hold_the_contact(stack):
    await stack.place(await stack.accept(MOBILE, contact_id=CRM))
    await stack.place(await stack.accept(OFFICE, contact_id="crm-2"))
    with pytest.raises(asyncpg.UniqueViolationError, match="attempts_one_holds_the_contact"):
        await stack.all("UPDATE attempts SET contact_id = $1 RETURNING 1", CRM)


async def test_an_attempt_that_is_let_go_leaves_the_contact_too(stack):
    message = await stack.accept(MOBILE, contact_id=CRM)
    await stack.place(message)
    assert (await stack.attempt(message.call_id))["holds_contact"] is True
    await end(stack, message)
    assert (await stack.attempt(message.call_id))["holds_contact"] is None
