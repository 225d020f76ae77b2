"""At most one more request with the same key and bytes, and only after the whole eligibility check."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta

import pytest

from ringback import tracing
from ringback.domain.call import Task, TaskKind
from ringback.tracing import AttemptIds
from tests.flows.call_processing.twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, NOT_SENT, REFUSED
from tests.recorded_spans import recorded_spans


async def three_clean_lookups(stack, **call):
    """An unclear attempt, 120 s later, when the same bytes may be asked for again."""
    message = await stack.accept(**call)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(message)
    for _ in range(3):
        await stack.check_when_due(message.call_id)
    return message.call_id


async def test_after_the_third_clean_lookup_the_same_bytes_go_out_once_more(stack):
    call_id = await three_clean_lookups(stack)
    await stack.place_due()
    first, second = stack.provider.dials
    assert first == second
    assert first.idempotency_key == second.idempotency_key
    (attempt,) = await stack.attempts(call_id)
    assert (attempt["state"], attempt["resent"], attempt["fence"]) == ("placed", True, 2)
    assert attempt["placed_at"] == attempt["sent_at"] == stack.clock.now() - timedelta(seconds=120)
    assert attempt["claimed_at"] == stack.clock.now()
    assert (attempt["holds_person"], attempt["holds_slot"]) == (True, True)
    call = await stack.call(call_id)
    assert (call["attempts_made"], call["budget_used"]) == (1, 1)
    assert await stack.event_types(call_id) == ["initiated"]


@pytest.mark.parametrize("is_still_on", [True, False])
async def test_a_resend_has_the_trace_context_of_the_first_request_even_if_traces_are_off_by_then(stack, is_still_on):
    with recorded_spans():
        call_id = await three_clean_lookups(stack)
    with recorded_spans() if is_still_on else nullcontext():
        await stack.place_due()
    first, second = stack.provider.dials
    attempt = AttemptIds((await stack.attempt(call_id))["attempt_id"], 1)
    assert first == second
    assert first.metadata["ringback_traceparent"] == str(tracing.of_attempt(call_id, attempt))


async def test_a_request_that_was_persisted_without_a_trace_context_gets_none_when_traces_are_on(stack):
    call_id = await three_clean_lookups(stack)
    with recorded_spans() as spans:
        await stack.place_due()
    first, second = stack.provider.dials
    assert first == second
    assert "ringback_traceparent" not in second.metadata
    # The id of the attempt's own span is used once, by its first claim.
    assert [span.new.name for span in spans] == ["attempt.dial_again", "retell.create_phone_call", "answer.record"]
    attempt = AttemptIds((await stack.attempt(call_id))["attempt_id"], 1)
    assert {span.new.parent_id for span in spans} == {tracing.of_attempt(call_id, attempt).span_id}
    assert all(span.has_ended for span in spans)


async def test_not_before_the_third_clean_lookup(stack):
    message = await stack.accept()
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(message)
    stack.provider.is_reachable = False
    await stack.check_when_due(message.call_id)
    stack.provider.is_reachable = True
    for _ in range(2):
        await stack.check_when_due(message.call_id)
        assert await stack.release() == []
    await stack.check_when_due(message.call_id)
    assert len(await stack.release()) == 1


async def test_a_window_of_zero_never_sends_again(stack):
    stack.with_deadlines(same_key_window_s=0)
    call_id = await three_clean_lookups(stack)
    for _ in range(3):
        await stack.place_due()
        await stack.check_when_due(call_id)
    assert len(stack.provider.dials) == 1
    assert (await stack.attempt(call_id))["state"] == "abandoned"


async def test_no_second_resend_whatever_the_first_was_told(stack):
    call_id = await three_clean_lookups(stack)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place_due()
    assert (await stack.attempt(call_id))["state"] == "unknown"
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
        await stack.place_due()
    assert len(stack.provider.dials) == 2
    assert (await stack.attempt(call_id))["state"] == "abandoned"


@pytest.mark.parametrize("answer", [DEFERRED, NOT_SENT, REFUSED, ACCOUNT_REFUSED, AMBIGUOUS])
async def test_no_answer_to_a_resend_says_that_the_first_request_did_not_ring(stack, answer):
    call_id = await three_clean_lookups(stack)
    stack.provider.script.append(answer)
    await stack.place_due()
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"]) == ("unknown", True)
    assert (await stack.task(call_id))["status"] == "consumed"
    assert await stack.events(call_id) == []


async def test_an_unclear_resend_gets_the_whole_grace_before_it_is_given_up(stack):
    call_id = await three_clean_lookups(stack)
    stack.clock.advance(2000)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place_due()
    resent_at = stack.clock.now()
    attempt = await stack.attempt(call_id)
    assert (attempt["unknown_since"], attempt["clean_lookups"], attempt["holds_slot"]) == (resent_at, 0, True)
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
    assert (stack.clock.now() - resent_at).total_seconds() == 4200


async def test_a_resend_whose_worker_died_is_looked_into_like_any_other(stack):
    call_id = await three_clean_lookups(stack)
    stack.provider.before_send = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await stack.place_due()
    await stack.reconcile(after_s=60)
    assert (await stack.attempt(call_id))["state"] == "unknown"
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
        await stack.place_due()
    assert len(stack.provider.dials) == 1


async def test_a_call_found_while_the_resend_is_out_for_release_is_not_sent_again(stack):
    call_id = await three_clean_lookups(stack)
    (message,) = await stack.release()
    await stack.hear(call_id, stack.provider.rang((await stack.attempt(call_id))["attempt_id"], "call_1"))
    await stack.place(message)
    assert len(stack.provider.dials) == 1
    assert (await stack.task(call_id))["status"] == "consumed"
    assert (await stack.attempt(call_id))["state"] == "placed"


async def test_a_call_found_while_the_resend_is_on_its_way_stands_and_the_answer_with_its_id_changes_nothing(stack):
    call_id = await three_clean_lookups(stack)
    stack.report_during_dial(call_id, stack.provider.rang, "call_2")
    await stack.place_due()
    assert (await stack.attempt(call_id))["provider_call_id"] == "call_2"
    assert await stack.event_types(call_id) == ["initiated"]
    assert await stack.all("SELECT 1 FROM outbox WHERE kind = 'stop_call'") == []


async def test_a_resend_waits_like_everybody_else_and_its_own_attempt_is_not_in_its_way(stack):
    stack.with_policy(attempts_per_day=1, attempt_gap_s=900)
    call_id = await three_clean_lookups(stack)
    (message,) = await stack.release()
    await stack.all("UPDATE installation SET paused_at = now() RETURNING 1")
    await stack.place(message)
    assert await stack.last_rule(call_id) == "paused"
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"]) == ("unknown", True)
    assert (await stack.call(call_id))["status"] == "unknown"
    await stack.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    stack.clock.advance(5)
    await stack.place_due()
    assert len(stack.provider.dials) == 2


async def test_a_resend_that_waited_beyond_the_window_is_not_made_and_the_call_goes_on(stack):
    call_id = await three_clean_lookups(stack)
    stack.clock.advance(2700 - 120)
    await stack.place_due()
    assert len(stack.provider.dials) == 1
    assert await stack.last_rule(call_id) == "same_key_window_over"
    assert (await stack.task(call_id))["status"] == "consumed"
    call = await stack.call(call_id)
    assert (call["status"], call["final"]) == ("unknown", False)


async def test_a_resend_claimed_at_the_windows_end_is_not_sent_behind_it(stack):
    call_id = await three_clean_lookups(stack)
    stack.clock.advance(2700 - 120 - 5)
    stack.provider.before_send = lambda: stack.clock.advance(6)
    await stack.place_due()
    assert len(stack.provider.dials) == 1
    assert (await stack.attempt(call_id))["state"] == "unknown"


async def test_no_resend_after_a_stop(stack):
    cancelled = await three_clean_lookups(stack)
    assert await stack.cancel(cancelled) == "already_dispatched"
    await stack.place_due()
    assert len(stack.provider.dials) == 1
    await three_clean_lookups(stack, phone="+14155550177")
    (message,) = await stack.release()
    await stack.suppress(phone="+14155550177")
    await stack.place(message)
    assert len(stack.provider.dials) == 2, "each of them once"


async def test_an_expired_call_is_not_sent_again_but_its_outcome_is_still_looked_for(stack):
    call_id = await three_clean_lookups(stack, expires_at=stack.clock.now() + timedelta(seconds=121))
    stack.clock.advance(2)
    await stack.place_due()
    assert len(stack.provider.dials) == 1
    assert (await stack.attempt(call_id))["state"] == "unknown"
    assert not (await stack.call(call_id))["final"]


async def test_a_lookup_begun_before_the_resend_says_nothing_about_it(stack):
    call_id = await three_clean_lookups(stack)
    find = stack.provider.find_attempt

    async def resent_meanwhile(attempt_id):
        listed = await find(attempt_id)
        stack.provider.find_attempt = find
        stack.provider.script.append(AMBIGUOUS)
        await stack.place_due()
        # As many as had been counted when this one began, so that their number cannot tell it from the next.
        for _ in range(3):
            await stack.check_when_due(call_id)
        return listed

    stack.provider.find_attempt = resent_meanwhile
    await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["resent"], attempt["clean_lookups"]) == (True, 3)


async def test_an_abandonment_takes_the_resend_that_was_still_waiting_with_it(stack):
    call_id = await three_clean_lookups(stack)
    await stack.all("UPDATE installation SET paused_at = now() RETURNING 1")
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
        await stack.place_due()
    await stack.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    assert (await stack.call(call_id))["status"] == "abandoned"
    stack.clock.advance(60)
    await stack.place_due()
    assert len(stack.provider.dials) == 1


async def test_a_callback_is_not_the_resend_of_an_unclear_attempt(stack):
    """It waits until that attempt is resolved, and then is a dial of its own with a key of its own."""
    message = await stack.accept()
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(message)
    now = stack.clock.now()
    async with stack.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        await tx.insert(Task("task-cb", message.call_id, TaskKind.CALLBACK, now, created_at=now))
    (callback,) = await stack.release()
    await stack.place(callback)
    assert await stack.last_rule(message.call_id) == "person_on_another_attempt"
    stack.provider.no_answer((await stack.attempt(message.call_id))["attempt_id"], "call_found")
    await stack.check_when_due(message.call_id)
    stack.clock.advance(15)
    await stack.place_due()
    first, second = stack.provider.dials
    assert first.idempotency_key != second.idempotency_key
    assert [attempt["number"] for attempt in await stack.attempts(message.call_id)] == [1, 2]


@pytest.mark.parametrize("answer", [DEFERRED, REFUSED, AMBIGUOUS])
async def test_an_answer_to_the_first_request_says_nothing_about_the_resend_that_is_out(stack, answer):
    message = await stack.accept()
    first_is_answered, states = asyncio.Event(), []

    async def answer_late(request):
        stack.provider.during_dial = None
        await first_is_answered.wait()

    async def hear_the_first(request):
        first_is_answered.set()
        await placing
        states.append((await stack.attempt(message.call_id))["state"])

    stack.provider.during_dial = answer_late
    stack.provider.script.append(answer)
    placing = asyncio.create_task(stack.place(message))
    while not stack.provider.dials:
        await asyncio.sleep(0.005)
    await stack.reconcile(after_s=61)
    for _ in range(3):
        await stack.check_when_due(message.call_id)
    stack.provider.during_dial = hear_the_first
    await stack.place_due()
    assert len(stack.provider.dials) == 2
    assert states == ["dialing"]
    assert (await stack.attempt(message.call_id))["state"] == "placed"
