"""What each answer to a dial makes of the attempt, its task and its call, and what Engage hears of it."""

from datetime import timedelta

import pytest

from ringback.domain.call import RetryPolicy, Task, TaskKind, TaskStatus
from ringback.domain.dial import DialAnswer, DialAnswerKind

from .twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, NOT_SENT, REFUSED


async def answered(desk, answer, **call):
    message = await desk.accept(**call)
    desk.provider.script.append(answer)
    await desk.place(message)
    return message.call_id


async def seconds_until(desk, moment):
    return (moment - desk.clock.now()).total_seconds()


async def test_placed_binds_announces_and_waits_for_news(desk):
    call_id = await answered(desk, DialAnswer(DialAnswerKind.PLACED, "http_201", "call_abc"))
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_abc")
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["lease_until"]) == (True, True, None)
    assert await seconds_until(desk, attempt["next_check_at"]) == 180
    assert attempt["placed_at"] == attempt["sent_at"]
    ((type_, data),) = await desk.events(call_id)
    assert (type_, data["provider_call_id"], data["sequence"]) == ("initiated", "call_abc", 1)
    assert (await desk.call(call_id))["status"] == "dialing"


@pytest.mark.parametrize("answer", [NOT_SENT, DEFERRED])
async def test_not_sent_and_deferred_wait_and_let_everything_go(desk, answer):
    call_id = await answered(desk, answer)
    attempt, task, call = await desk.attempt(call_id), await desk.task(call_id), await desk.call(call_id)
    assert (attempt["state"], attempt["waits"]) == ("waiting", 1)
    assert (attempt["holds_person"], attempt["holds_slot"]) == (False, False)
    assert (attempt["lease_until"], attempt["next_check_at"]) == (None, None)
    assert (task["status"], await seconds_until(desk, task["due_at"])) == ("pending", 2)
    assert (call["status"], call["final"]) == ("scheduled", False)
    assert await desk.events(call_id) == []


async def test_the_providers_own_wish_is_how_long_a_deferred_call_waits(desk):
    call_id = await answered(desk, DialAnswer(DialAnswerKind.DEFERRED, "http_429", retry_after_s=37.0))
    assert await seconds_until(desk, (await desk.task(call_id))["due_at"]) == 37


async def test_waits_double_up_to_a_minute(desk):
    call_id = await answered(desk, DEFERRED)
    waits = []
    for _ in range(7):
        waits.append(await seconds_until(desk, (await desk.task(call_id))["due_at"]))
        desk.clock.advance(waits[-1])
        desk.provider.script.append(DEFERRED)
        await desk.place_due()
    assert waits == [2, 4, 8, 16, 32, 60, 60]


async def test_a_waiting_attempt_is_claimed_again_as_itself(desk):
    call_id = await answered(desk, DEFERRED)
    before = await desk.attempt(call_id)
    desk.clock.advance(2)
    await desk.place_due()
    (after,) = await desk.attempts(call_id)
    for name in ("attempt_id", "number", "request", "task_id"):
        assert after[name] == before[name]
    assert (after["state"], after["fence"]) == ("placed", 2)
    assert after["sent_at"] == after["placed_at"] == desk.clock.now(), "the first send never rang"
    call = await desk.call(call_id)
    assert (call["attempts_made"], call["budget_used"]) == (1, 1)
    assert await desk.event_types(call_id) == ["initiated"]


async def test_a_waiting_attempt_goes_through_the_whole_gate_again(desk):
    call_id = await answered(desk, DEFERRED, phone="+14155550123")
    await desk.place(await desk.accept("+14155550123"))
    desk.clock.advance(2)
    await desk.place_due()
    assert await desk.last_rule(call_id) == "person_on_another_attempt"


async def test_a_waiting_attempt_ends_unsent_when_the_person_is_suppressed(desk):
    call_id = await answered(desk, DEFERRED, phone="+14155550123")
    await desk.suppress(phone="+14155550123")
    attempt, call = await desk.attempt(call_id), await desk.call(call_id)
    assert (attempt["state"], attempt["dial"], call["final"]) == ("rejected", "not_dialed", True)
    ((type_, data),) = await desk.events(call_id)
    assert (type_, data["reason"], data["attempted"], data["is_final"]) == ("failed", "suppressed", False, True)
    desk.clock.advance(60)
    await desk.place_due()
    assert len(desk.provider.dials) == 1


async def test_a_waiting_attempt_ends_with_its_expired_call(desk):
    call_id = await answered(desk, DEFERRED, expires_at=desk.clock.now() + timedelta(seconds=1))
    desk.clock.advance(2)
    await desk.place_due()
    assert (await desk.call(call_id))["status"] == "expired"
    assert len(desk.provider.dials) == 1


@pytest.mark.parametrize("answer", [DEFERRED, NOT_SENT, ACCOUNT_REFUSED])
async def test_a_stop_asked_for_while_dialing_is_honoured_when_nothing_was_taken(desk, answer):
    message = await desk.accept()
    results = []

    async def cancel(_):
        results.append(await desk.cancel(message.call_id))

    desk.provider.during_dial = cancel
    desk.provider.script.append(answer)
    await desk.place(message)
    assert results == ["already_dispatched"]
    attempt, call, task = [await read(message.call_id) for read in (desk.attempt, desk.call, desk.task)]
    assert (call["status"], call["final"], attempt["state"]) == ("cancelled", True, "rejected")
    assert task["status"] not in ("pending", "held", "dispatched")
    ((type_, data),) = await desk.events(message.call_id)
    assert (type_, data["reason"], data["is_final"]) == ("failed", "cancelled", True)
    desk.clock.advance(3600)
    assert await desk.release() == []


async def test_a_call_cancelled_while_dialing_and_then_refused_is_cancelled(desk):
    message = await desk.accept()
    desk.provider.during_dial = lambda _: desk.cancel(message.call_id)
    desk.provider.script.append(REFUSED)
    await desk.place(message)
    call = await desk.call(message.call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    assert [data["reason"] for _, data in await desk.events(message.call_id)] == ["refused"]


async def test_refused_fails_the_call_with_one_event_and_no_initiated(desk):
    call_id = await answered(desk, REFUSED)
    attempt, call = await desk.attempt(call_id), await desk.call(call_id)
    assert (attempt["state"], attempt["dial"], attempt["disconnection_reason"]) == ("rejected", "rejected", "http_422")
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["next_check_at"]) == (False, False, None)
    assert (call["status"], call["final"]) == ("failed", True)
    ((type_, data),) = await desk.events(call_id)
    assert type_ == "failed"
    expected = {
        "reason": "refused",
        "provider_reason": "http_422",
        "attempted": False,
        "will_retry": False,
        "next_attempt_at": None,
        "is_final": True,
        "attempt": 1,
    }
    assert {name: data[name] for name in expected} == expected


async def test_a_refused_call_is_not_retried_whatever_its_policy_says(desk):
    call_id = await answered(desk, REFUSED, retry=RetryPolicy(max_attempts=5))
    assert (await desk.call(call_id))["final"]
    desk.clock.advance(86400)
    assert await desk.release() == []


async def test_ambiguous_is_unknown_and_says_nothing_yet(desk):
    call_id = await answered(desk, AMBIGUOUS)
    attempt, call = await desk.attempt(call_id), await desk.call(call_id)
    assert (attempt["state"], call["status"], call["final"]) == ("unknown", "unknown", False)
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["lease_until"]) == (True, True, None)
    assert await seconds_until(desk, attempt["next_check_at"]) == 5
    assert (await desk.task(call_id))["status"] == "consumed"
    assert await desk.events(call_id) == []


async def test_a_callback_asked_for_while_dialing_is_what_a_deferred_attempt_waits_for(desk):
    message = await desk.accept()

    async def ask_for_callback(_):
        due_at = desk.clock.now() + timedelta(hours=2)
        async with desk.store.transaction() as tx:
            await tx.lock_call(message.call_id)
            await tx.insert(Task("task-cb", message.call_id, TaskKind.CALLBACK, due_at, created_at=desk.clock.now()))

    desk.provider.during_dial = ask_for_callback
    desk.provider.script.append(DEFERRED)
    await desk.place(message)
    desk.provider.during_dial = None
    open_tasks = await desk.all("SELECT * FROM tasks WHERE status = 'pending'")
    assert [task["task_id"] for task in open_tasks] == ["task-cb"]
    desk.clock.advance(7200)
    await desk.place_due()
    (attempt,) = await desk.attempts(message.call_id)
    assert (attempt["task_id"], attempt["state"], attempt["number"]) == ("task-cb", "placed", 1)
    assert (await desk.task(message.call_id))["status"] == TaskStatus.CONSUMED


async def test_a_webhook_before_the_answer_binds_once_and_the_answer_adds_nothing(desk):
    message = await desk.accept()

    async def webhook(request):
        await desk.hear(message.call_id, desk.provider.rang(request.idempotency_key, "call_1"))

    desk.provider.during_dial = webhook
    await desk.place(message)
    attempt = await desk.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_1")
    assert await desk.event_types(message.call_id) == ["initiated"]
    assert await desk.all("SELECT payload FROM outbox WHERE kind = 'stop_call'") == []
    assert await desk.decisions(message.call_id, "incident_second_provider_call") == []


@pytest.mark.parametrize("answer", [AMBIGUOUS, DEFERRED, REFUSED, NOT_SENT, ACCOUNT_REFUSED])
async def test_evidence_that_came_first_beats_every_other_answer(desk, answer):
    message = await desk.accept()

    async def webhook(request):
        await desk.hear(message.call_id, desk.provider.rang(request.idempotency_key, "call_1"))

    desk.provider.during_dial = webhook
    desk.provider.script.append(answer)
    await desk.place(message)
    attempt = await desk.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"], attempt["holds_person"]) == ("placed", "call_1", True)
    assert (await desk.task(message.call_id))["status"] == "consumed"
    assert await desk.event_types(message.call_id) == ["initiated"]
    assert (await desk.one("SELECT breaker_until FROM installation"))["breaker_until"] is None


async def test_an_answer_after_the_verdict_changes_nothing(desk):
    message = await desk.accept()

    async def whole_call(request):
        await desk.hear(message.call_id, desk.provider.no_answer(request.idempotency_key, "call_1"))

    desk.provider.during_dial = whole_call
    await desk.place(message)
    call, attempt = await desk.call(message.call_id), await desk.attempt(message.call_id)
    assert (call["status"], call["final"], attempt["next_check_at"]) == ("failed", True, None)
    assert await desk.event_types(message.call_id) == ["initiated", "failed"]


async def test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped(desk):
    message = await desk.accept()

    async def webhook(request):
        await desk.hear(message.call_id, desk.provider.rang(request.idempotency_key, "call_other"))

    desk.provider.during_dial = webhook
    await desk.place(message)
    assert (await desk.attempt(message.call_id))["provider_call_id"] == "call_other"
    row = await desk.one("SELECT payload FROM outbox WHERE kind = 'stop_call'")
    assert row["payload"]["provider_call_id"] == "call_1"
    assert await desk.decisions(message.call_id, "incident_second_provider_call") == [{"stopped": "call_1"}]


async def test_a_placed_answer_after_the_lease_was_swept_still_binds(desk):
    message = await desk.accept()
    desk.provider.during_dial = lambda _: desk.look_after(after_s=61)
    await desk.place(message)
    attempt = await desk.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_1")
    assert await desk.event_types(message.call_id) == ["initiated"]


@pytest.mark.parametrize("answer", [DEFERRED, REFUSED, ACCOUNT_REFUSED, AMBIGUOUS])
async def test_any_other_answer_after_the_lease_was_swept_leaves_it_unknown(desk, answer):
    message = await desk.accept()
    desk.provider.during_dial = lambda _: desk.look_after(after_s=61)
    desk.provider.script.append(answer)
    await desk.place(message)
    assert (await desk.attempt(message.call_id))["state"] == "unknown"
    assert await desk.events(message.call_id) == []
