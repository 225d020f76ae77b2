"""An action runs once: keys, races, scopes, and the reach of a conversation."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ringback.adapters.postgres.action_results import PostgresActionResults
from ringback.domain.errors import Retryable, StoreUnavailable

TOMORROW = {"when": "tomorrow at 3pm"}

BLOCKED_BY = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
ADVISORY_LOCKS_OF = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND granted"


async def test_the_same_key_gets_the_stored_reply_and_does_nothing(stack):
    call_id = await stack.accept()
    first = await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id)
    before = await stack.rows_written()
    assert await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id) == first
    assert await stack.rows_written() == before


async def test_the_stored_reply_is_given_also_when_it_could_not_be_done_any_more(stack):
    call_id = await stack.accept()
    first = await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id)
    await stack.cancel(call_id)
    assert await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id) == first


@pytest.mark.parametrize("args", [{"when": "tomorrow at 4pm"}, {"when": "tomorrow at 3pm", "reason": "x"}])
async def test_the_same_key_with_other_arguments_is_refused(stack, args):
    call_id = await stack.accept()
    await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id)
    assert (await stack.ask("reschedule_call", args, key="k", call_id=call_id)).code == "key_reused"
    assert (await stack.call(call_id))["reschedules"] == 1


async def test_the_same_key_for_another_action_or_call_is_refused(stack):
    one, other = await stack.accept(), await stack.accept(contact_id="crm-43", phone="+14155550101")
    await stack.ask("reschedule_call", TOMORROW, key="k", call_id=one)
    assert (await stack.ask("reschedule_call", TOMORROW, key="k", call_id=other)).code == "key_reused"
    assert (await stack.ask("set_disposition", {"code": "interested"}, key="k", call_id=one)).code == "key_reused"


async def test_a_refusal_is_not_stored_so_its_key_may_be_used_for_the_corrected_request(stack):
    call_id = await stack.accept()
    assert not (await stack.ask("reschedule_call", {"when": "later"}, key="k", call_id=call_id)).ok
    assert (await stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id)).ok


async def test_the_two_scopes_have_keys_of_their_own(stack):
    talk = await stack.talk()
    assert (await stack.ask("reschedule_call", TOMORROW, key="k", call_id=talk.call_id)).ok
    assert (await stack.tool(talk, "reschedule_call", TOMORROW, key="k")).ok
    assert (await stack.call(talk.call_id))["reschedules"] == 2


async def test_a_tool_that_retell_repeats_acts_once(stack):
    talk = await stack.talk()
    replies = [await stack.tool(talk, "reschedule_call", TOMORROW, key="call_1:tool_1") for _ in range(3)]
    assert replies[0].ok
    assert replies == [replies[0]] * 3
    assert (await stack.call(talk.call_id))["reschedules"] == 1


async def test_many_at_once_with_one_key_act_once(stack):
    talk = await stack.talk()
    for hour in (1, 2):
        assert (await stack.tool(talk, "reschedule_call", {"when": f"tomorrow at {hour}pm"})).ok
    await stack.warm_up()
    # The third is the last that is allowed, so one that acted again would be told so.
    asked = [stack.tool(talk, "reschedule_call", TOMORROW, key="call_1:tool_1") for _ in range(8)]
    replies = await asyncio.gather(*asked)
    assert replies == [replies[0]] * 8
    assert replies[0].ok
    assert (await stack.call(talk.call_id))["reschedules"] == 3


@pytest.fixture
def two_look_up_first(monkeypatch):
    """The first two that look a key up go on when both have found nothing."""
    right, both, waiting = PostgresActionResults.find, asyncio.Barrier(2), 2

    async def find(self, *asked):
        nonlocal waiting
        found, waiting = await right(self, *asked), waiting - 1
        if waiting >= 0:
            await both.wait()
        return found

    monkeypatch.setattr(PostgresActionResults, "find", find)


@pytest.mark.usefixtures("two_look_up_first")
async def test_one_key_for_two_calls_at_once_is_one_calls(stack):
    call_ids = [await stack.accept(contact_id=f"crm-{n}", phone=f"+1415555010{n}") for n in range(4)]
    await stack.warm_up()
    asked = [stack.ask("reschedule_call", TOMORROW, key="k", call_id=call_id) for call_id in call_ids]
    replies = await asyncio.gather(*asked)
    assert sorted(reply.code for reply in replies) == ["key_reused"] * 3 + ["rescheduled"]
    moved = [(await stack.call(call_id))["reschedules"] for call_id in call_ids]
    assert sum(moved) == 1, "nothing of the others stands"


async def test_many_at_once_with_one_key_act_once_also_for_a_contact_without_a_call(stack):
    await stack.cancel(await stack.accept())
    await stack.warm_up()
    asked = [stack.ask("set_disposition", {"code": "interested"}, key="k", contact_id="crm-42") for _ in range(3)]
    replies = await asyncio.gather(*asked)
    assert all(reply.ok for reply in replies)
    assert len(await stack.all("SELECT * FROM dispositions")) == 1


async def test_a_reschedule_and_a_claim_never_both_win(stack):
    """The linearization point is the phone's lock: either it was dialed, or its message found nothing to consume."""
    await stack.warm_up()
    for number in range(6):
        call_id = await stack.accept(contact_id=f"crm-{number}", phone=f"+1415555010{number}")
        task = (await stack.tasks(call_id))[0]
        reply, _ = await asyncio.gather(
            stack.ask("reschedule_call", TOMORROW, call_id=call_id),
            stack.deliver(call_id, task["task_id"], task["dispatch"]),
        )
        assert reply.ok
        attempts = await stack.all("SELECT * FROM attempts WHERE call_id = $1", call_id)
        first, callback = await stack.tasks(call_id)
        assert first["status"] == ("consumed" if attempts else "superseded")
        assert callback["status"] == "pending"


async def test_before_a_suppression_every_phone_of_the_person_is_locked_and_then_the_call(stack):
    talk, _ = await stack.talk(), await stack.accept(phone="+14155550101")
    async with stack.pool.acquire() as other:
        async with other.transaction():
            await other.execute("SELECT * FROM calls WHERE call_id = $1 FOR UPDATE", talk.call_id)
            asked = asyncio.create_task(stack.tool(talk, "set_disposition", {"code": "do_not_call"}))
            # Asked on a third connection: within a transaction pg_stat_activity stands still.
            while not (blocked := await stack.all(BLOCKED_BY, other.get_server_pid())):
                await asyncio.sleep(0.01)
            held = await stack.one(ADVISORY_LOCKS_OF, blocked[0]["pid"])
    assert held["count"] == 3, "two phones and the contact"
    assert (await asked).ok


async def test_suppressions_of_one_person_at_once_all_stand(stack):
    one = await stack.talk()
    # So long after its end that the person may be called at another number; its tool call is repeated late.
    await stack.execute("UPDATE attempts SET state = 'ended', holds_person = false, holds_slot = false")
    other = await stack.talk(phone="+14155550101")
    await stack.warm_up()
    replies = await asyncio.gather(
        stack.tool(one, "set_disposition", {"code": "do_not_call"}),
        stack.tool(other, "set_disposition", {"code": "do_not_call"}),
        stack.ask("set_disposition", {"code": "wrong_number"}, contact_id="crm-42"),
    )
    assert [reply.ok for reply in replies] == [True] * 3
    assert len(await stack.all("SELECT * FROM suppressions")) == 3


async def test_a_tool_call_of_an_unknown_attempt_has_no_call(stack):
    talk = await stack.talk()
    stray = replace(talk, attempt_id="none", provider_call_id="call_of_others")
    assert (await stack.tool(stray, "reschedule_call", TOMORROW)).code == "no_call"


async def test_a_tool_call_of_another_instance_has_no_call(stack):
    talk = await stack.talk()
    before = await stack.rows_written()
    assert (await stack.tool_of_another_instance(talk, "reschedule_call", TOMORROW)).code == "no_call"
    assert await stack.rows_written() == before


async def test_a_tool_cannot_name_another_contact(stack):
    talk = await stack.talk()
    other = await stack.accept(contact_id="crm-43", phone="+14155550101")
    reply = await stack.tool(talk, "reschedule_call", {**TOMORROW, "call_id": other, "contact_id": "crm-43"})
    assert (reply.code, reply.result["ignored"]) == ("rescheduled", ["call_id", "contact_id"])
    assert [(await stack.call(call_id))["reschedules"] for call_id in (talk.call_id, other)] == [1, 0]


async def test_a_tool_call_before_the_answer_of_the_dial_binds_its_attempt(stack):
    """It can come before create-phone-call was answered; then only the metadata knows the attempt."""
    talk = await stack.talk()
    await stack.execute("UPDATE attempts SET state = 'unknown', provider_call_id = NULL, initiated_event = false")
    await stack.execute("DELETE FROM outbox")
    assert (await stack.tool(talk, "reschedule_call", TOMORROW)).ok
    attempt = await stack.one("SELECT * FROM attempts")
    assert (attempt["provider_call_id"], attempt["state"]) == (talk.provider_call_id, "ongoing")
    types = [event["type"] for event in await stack.events(talk.call_id)]
    assert types == ["voice_ai_call_initiated", "voice_ai_call_started", "voice_ai_call_rescheduled"]


async def test_a_rehearsal_writes_nothing_and_says_what_would_be_said(stack):
    before = await stack.rows_written()
    reply = stack.operations.rehearse("reschedule_call", TOMORROW)
    assert (reply.ok, reply.code, reply.say) == (True, "rehearsed", "Done, we will call you tomorrow at 3 PM.")
    assert stack.operations.rehearse("reschedule_call", {"when": "later"}).code == "needs_clarification"
    disposition = stack.operations.rehearse("set_disposition", {"code": "do_not_call"})
    assert disposition.result == {"code": "do_not_call", "suppressed": True}
    assert await stack.rows_written() == before


@pytest.mark.parametrize("state", ["waiting", "dialing", "unknown", "placed", "ended", "rejected", "abandoned"])
async def test_a_tool_call_is_served_whatever_state_its_attempt_is_in(stack, state):
    talk = await stack.talk()
    await stack.execute(f"UPDATE attempts SET state = '{state}', provider_call_id = NULL")
    assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok


class ClashingStore:
    """The real store, whose first transactions end in the given errors when they would commit."""

    def __init__(self, store, errors):
        self._store, self._errors = store, list(errors)

    def __getattr__(self, name):
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self):
        async with self._store.transaction() as tx:
            yield tx
            if self._errors:
                raise self._errors.pop(0)


async def test_a_deadlock_is_tried_again(stack):
    talk = await stack.talk()
    request = stack.tool_request(talk, "reschedule_call", TOMORROW)
    twice = ClashingStore(stack.store, [Retryable("deadlock"), Retryable("deadlock")])
    assert (await replace(stack.operations, store=twice).perform(request)).ok
    assert (await stack.call(talk.call_id))["reschedules"] == 1


async def test_after_three_tries_it_is_given_up(stack):
    talk = await stack.talk()
    request = stack.tool_request(talk, "reschedule_call", TOMORROW)
    thrice = ClashingStore(stack.store, [Retryable("deadlock")] * 3)
    with pytest.raises(Retryable):
        await replace(stack.operations, store=thrice).perform(request)
    assert (await stack.call(talk.call_id))["reschedules"] == 0


async def test_an_unavailable_database_is_not_asked_again(stack):
    talk = await stack.talk()
    request = stack.tool_request(talk, "reschedule_call", TOMORROW)
    away = ClashingStore(stack.store, [StoreUnavailable("gone"), Retryable("not reached")])
    with pytest.raises(StoreUnavailable):
        await replace(stack.operations, store=away).perform(request)
