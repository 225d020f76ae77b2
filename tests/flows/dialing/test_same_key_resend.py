"""One more request with the same key and the same bytes, at most, and only through the whole gate."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.call import Task, TaskKind

from .twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, NOT_SENT, REFUSED


async def three_clean_lookups(desk, **call):
    """An unclear attempt, 120 s later, when the same bytes may be asked for again."""
    message = await desk.accept(**call)
    desk.provider.script.append(AMBIGUOUS)
    await desk.place(message)
    for _ in range(3):
        await desk.check_when_due(message.call_id)
    return message.call_id


async def test_after_the_third_clean_lookup_the_same_bytes_go_out_once_more(desk):
    call_id = await three_clean_lookups(desk)
    await desk.place_due()
    first, second = desk.provider.dials
    assert first == second
    assert first.idempotency_key == second.idempotency_key
    (attempt,) = await desk.attempts(call_id)
    assert (attempt["state"], attempt["resent"], attempt["fence"]) == ("placed", True, 2)
    assert attempt["placed_at"] == attempt["sent_at"] == desk.clock.now() - timedelta(seconds=120)
    assert attempt["claimed_at"] == desk.clock.now()
    assert (attempt["holds_person"], attempt["holds_slot"]) == (True, True)
    call = await desk.call(call_id)
    assert (call["attempts_made"], call["budget_used"]) == (1, 1)
    assert await desk.event_types(call_id) == ["initiated"]


async def test_not_before_the_third_clean_lookup(desk):
    message = await desk.accept()
    desk.provider.script.append(AMBIGUOUS)
    await desk.place(message)
    desk.provider.is_reachable = False
    await desk.check_when_due(message.call_id)
    desk.provider.is_reachable = True
    for _ in range(2):
        await desk.check_when_due(message.call_id)
        assert await desk.release() == []
    await desk.check_when_due(message.call_id)
    assert len(await desk.release()) == 1


async def test_a_window_of_zero_never_sends_again(desk):
    desk.with_deadlines(same_key_window_s=0)
    call_id = await three_clean_lookups(desk)
    for _ in range(3):
        await desk.place_due()
        await desk.check_when_due(call_id)
    assert len(desk.provider.dials) == 1
    assert (await desk.attempt(call_id))["state"] == "abandoned"


async def test_no_second_resend_whatever_the_first_was_told(desk):
    call_id = await three_clean_lookups(desk)
    desk.provider.script.append(AMBIGUOUS)
    await desk.place_due()
    assert (await desk.attempt(call_id))["state"] == "unknown"
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
        await desk.place_due()
    assert len(desk.provider.dials) == 2
    assert (await desk.attempt(call_id))["state"] == "abandoned"


@pytest.mark.parametrize("answer", [DEFERRED, NOT_SENT, REFUSED, ACCOUNT_REFUSED, AMBIGUOUS])
async def test_no_answer_to_a_resend_says_that_the_first_request_did_not_ring(desk, answer):
    call_id = await three_clean_lookups(desk)
    desk.provider.script.append(answer)
    await desk.place_due()
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"]) == ("unknown", True)
    assert (await desk.task(call_id))["status"] == "consumed"
    assert await desk.events(call_id) == []


async def test_an_unclear_resend_gets_the_whole_grace_before_it_is_given_up(desk):
    call_id = await three_clean_lookups(desk)
    desk.clock.advance(2000)
    desk.provider.script.append(AMBIGUOUS)
    await desk.place_due()
    resent_at = desk.clock.now()
    attempt = await desk.attempt(call_id)
    assert (attempt["unknown_since"], attempt["clean_lookups"], attempt["holds_slot"]) == (resent_at, 0, True)
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
    assert (desk.clock.now() - resent_at).total_seconds() == 4200


async def test_a_resend_whose_worker_died_is_looked_into_like_any_other(desk):
    call_id = await three_clean_lookups(desk)
    desk.provider.before_send = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await desk.place_due()
    await desk.look_after(after_s=60)
    assert (await desk.attempt(call_id))["state"] == "unknown"
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
        await desk.place_due()
    assert len(desk.provider.dials) == 1


async def test_a_call_found_while_the_resend_is_out_for_release_is_not_sent_again(desk):
    call_id = await three_clean_lookups(desk)
    (message,) = await desk.release()
    await desk.hear(call_id, desk.provider.rang((await desk.attempt(call_id))["attempt_id"], "call_1"))
    await desk.place(message)
    assert len(desk.provider.dials) == 1
    assert (await desk.task(call_id))["status"] == "consumed"
    assert (await desk.attempt(call_id))["state"] == "placed"


async def test_a_call_found_while_the_resend_is_on_its_way_stands_and_the_answer_with_its_id_changes_nothing(desk):
    call_id = await three_clean_lookups(desk)

    async def webhook(request):
        await desk.hear(call_id, desk.provider.rang(request.idempotency_key, "call_2"))

    desk.provider.during_dial = webhook
    await desk.place_due()
    assert (await desk.attempt(call_id))["provider_call_id"] == "call_2"
    assert await desk.event_types(call_id) == ["initiated"]
    assert await desk.all("SELECT 1 FROM outbox WHERE kind = 'stop_call'") == []


async def test_a_resend_waits_like_everybody_else_and_its_own_attempt_is_not_in_its_way(desk):
    desk.with_policy(attempts_per_day=1, attempt_gap_s=900)
    call_id = await three_clean_lookups(desk)
    (message,) = await desk.release()
    await desk.all("UPDATE installation SET paused_at = now() RETURNING 1")
    await desk.place(message)
    assert await desk.last_rule(call_id) == "paused"
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"]) == ("unknown", True)
    assert (await desk.call(call_id))["status"] == "unknown"
    await desk.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    desk.clock.advance(5)
    await desk.place_due()
    assert len(desk.provider.dials) == 2


async def test_a_resend_that_waited_beyond_the_window_is_not_made_and_the_call_goes_on(desk):
    call_id = await three_clean_lookups(desk)
    desk.clock.advance(2700 - 120)
    await desk.place_due()
    assert len(desk.provider.dials) == 1
    assert await desk.last_rule(call_id) == "same_key_window_over"
    assert (await desk.task(call_id))["status"] == "consumed"
    call = await desk.call(call_id)
    assert (call["status"], call["final"]) == ("unknown", False)


async def test_a_resend_claimed_at_the_windows_end_is_not_sent_behind_it(desk):
    call_id = await three_clean_lookups(desk)
    desk.clock.advance(2700 - 120 - 5)
    desk.provider.before_send = lambda: desk.clock.advance(6)
    await desk.place_due()
    assert len(desk.provider.dials) == 1
    assert (await desk.attempt(call_id))["state"] == "unknown"


async def test_no_resend_after_a_stop(desk):
    cancelled = await three_clean_lookups(desk)
    assert await desk.cancel(cancelled) == "already_dispatched"
    await desk.place_due()
    assert len(desk.provider.dials) == 1
    await three_clean_lookups(desk, phone="+14155550177")
    (message,) = await desk.release()
    await desk.suppress(phone="+14155550177")
    await desk.place(message)
    assert len(desk.provider.dials) == 2, "each of them once"


async def test_an_expired_call_is_not_sent_again_but_its_outcome_is_still_looked_for(desk):
    call_id = await three_clean_lookups(desk, expires_at=desk.clock.now() + timedelta(seconds=121))
    desk.clock.advance(2)
    await desk.place_due()
    assert len(desk.provider.dials) == 1
    assert (await desk.attempt(call_id))["state"] == "unknown"
    assert not (await desk.call(call_id))["final"]


async def test_a_lookup_begun_before_the_resend_says_nothing_about_it(desk):
    call_id = await three_clean_lookups(desk)
    find = desk.provider.find_attempt

    async def resent_meanwhile(attempt_id):
        listed = await find(attempt_id)
        desk.provider.find_attempt = find
        desk.provider.script.append(AMBIGUOUS)
        await desk.place_due()
        # As many as had been counted when this one began, so that their number cannot tell it from the next.
        for _ in range(3):
            await desk.check_when_due(call_id)
        return listed

    desk.provider.find_attempt = resent_meanwhile
    await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    assert (attempt["resent"], attempt["clean_lookups"]) == (True, 3)


async def test_an_abandonment_takes_the_resend_that_was_still_waiting_with_it(desk):
    call_id = await three_clean_lookups(desk)
    await desk.all("UPDATE installation SET paused_at = now() RETURNING 1")
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
        await desk.place_due()
    await desk.all("UPDATE installation SET paused_at = NULL RETURNING 1")
    assert (await desk.call(call_id))["status"] == "abandoned"
    desk.clock.advance(60)
    await desk.place_due()
    assert len(desk.provider.dials) == 1


async def test_a_callback_is_not_the_resend_of_an_unclear_attempt(desk):
    """It waits until that attempt is resolved, and then is a dial of its own with a key of its own."""
    message = await desk.accept()
    desk.provider.script.append(AMBIGUOUS)
    await desk.place(message)
    now = desk.clock.now()
    async with desk.store.transaction() as tx:
        await tx.lock_call(message.call_id)
        await tx.insert(Task("task-cb", message.call_id, TaskKind.CALLBACK, now, created_at=now))
    (callback,) = await desk.release()
    await desk.place(callback)
    assert await desk.last_rule(message.call_id) == "person_on_another_attempt"
    desk.provider.no_answer((await desk.attempt(message.call_id))["attempt_id"], "call_found")
    await desk.check_when_due(message.call_id)
    desk.clock.advance(15)
    await desk.place_due()
    first, second = desk.provider.dials
    assert first.idempotency_key != second.idempotency_key
    assert [attempt["number"] for attempt in await desk.attempts(message.call_id)] == [1, 2]


@pytest.mark.parametrize("answer", [DEFERRED, REFUSED, AMBIGUOUS])
async def test_an_answer_to_the_first_request_says_nothing_about_the_resend_that_is_out(desk, answer):
    message = await desk.accept()
    first_is_answered, states = asyncio.Event(), []

    async def answer_late(request):
        desk.provider.during_dial = None
        await first_is_answered.wait()

    async def hear_the_first(request):
        first_is_answered.set()
        await placing
        states.append((await desk.attempt(message.call_id))["state"])

    desk.provider.during_dial = answer_late
    desk.provider.script.append(answer)
    placing = asyncio.create_task(desk.place(message))
    while not desk.provider.dials:
        await asyncio.sleep(0.005)
    await desk.look_after(after_s=61)
    for _ in range(3):
        await desk.check_when_due(message.call_id)
    desk.provider.during_dial = hear_the_first
    await desk.place_due()
    assert len(desk.provider.dials) == 2
    assert states == ["dialing"]
    assert (await desk.attempt(message.call_id))["state"] == "placed"
