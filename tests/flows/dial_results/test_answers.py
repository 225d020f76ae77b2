"""Each answer to a dial: the attempt, its task, its call, and the events for Engage."""

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy, Task, TaskKind, TaskStatus
from tests.flows.call_processing.twins import ACCOUNT_REFUSED, AMBIGUOUS, DEFERRED, NOT_SENT, REFUSED


async def answered(stack, answer, **call):
    message = await stack.accept(**call)
    stack.provider.script.append(answer)
    await stack.place(message)
    return message.call_id


async def seconds_until(stack, moment):
    return (moment - stack.clock.now()).total_seconds()


async def test_placed_binds_announces_and_waits_for_news(stack):
    call_id = await answered(stack, DialAnswer(DialAnswerKind.PLACED, "http_201", "call_abc"))
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_abc")
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["lease_until"]) == (True, True, None)
    assert await seconds_until(stack, attempt["next_check_at"]) == 180
    assert attempt["placed_at"] == attempt["sent_at"]
    ((type_, data),) = await stack.events(call_id)
    assert (type_, data["provider_call_id"], data["sequence"]) == ("initiated", "call_abc", 1)
    assert (await stack.call(call_id))["status"] == "dialing"


@pytest.mark.parametrize("answer", [NOT_SENT, DEFERRED])
async def test_not_sent_and_deferred_wait_and_let_everything_go(stack, answer):
    call_id = await answered(stack, answer)
    attempt, task, call = await stack.attempt(call_id), await stack.task(call_id), await stack.call(call_id)
    assert (attempt["state"], attempt["waits"]) == ("waiting", 1)
    assert (attempt["holds_person"], attempt["holds_slot"]) == (False, False)
    assert (attempt["lease_until"], attempt["next_check_at"]) == (None, None)
    assert (task["status"], await seconds_until(stack, task["due_at"])) == ("pending", 2)
    assert (call["status"], call["final"]) == ("scheduled", False)
    assert await stack.events(call_id) == []


async def test_the_providers_own_wish_is_how_long_a_deferred_call_waits(stack):
    call_id = await answered(stack, DialAnswer(DialAnswerKind.DEFERRED, "http_429", retry_after_s=37.0))
    assert await seconds_until(stack, (await stack.task(call_id))["due_at"]) == 37


async def test_waits_double_up_to_a_minute(stack):
    call_id = await answered(stack, DEFERRED)
    waits = []
    for _ in range(7):
        waits.append(await seconds_until(stack, (await stack.task(call_id))["due_at"]))
        stack.clock.advance(waits[-1])
        stack.provider.script.append(DEFERRED)
        await stack.place_due()
    assert waits == [2, 4, 8, 16, 32, 60, 60]


async def test_a_waiting_attempt_is_claimed_again_as_itself(stack):
    call_id = await answered(stack, DEFERRED)
    before = await stack.attempt(call_id)
    stack.clock.advance(2)
    await stack.place_due()
    (after,) = await stack.attempts(call_id)
    for name in ("attempt_id", "number", "request", "task_id"):
        assert after[name] == before[name]
    assert (after["state"], after["fence"]) == ("placed", 2)
    assert after["sent_at"] == after["placed_at"] == stack.clock.now(), "the first send never rang"
    call = await stack.call(call_id)
    assert (call["attempts_made"], call["budget_used"]) == (1, 1)
    assert await stack.event_types(call_id) == ["initiated"]


async def test_a_waiting_attempt_passes_the_whole_eligibility_check_again(stack):
    call_id = await answered(stack, DEFERRED, phone="+14155550123")
    await stack.place(await stack.accept("+14155550123"))
    stack.clock.advance(2)
    await stack.place_due()
    assert await stack.last_rule(call_id) == "person_on_another_attempt"


async def test_a_waiting_attempt_ends_unsent_when_the_person_is_suppressed(stack):
    call_id = await answered(stack, DEFERRED, phone="+14155550123")
    await stack.suppress(phone="+14155550123")
    attempt, call = await stack.attempt(call_id), await stack.call(call_id)
    assert (attempt["state"], attempt["dial"], call["final"]) == ("rejected", "not_dialed", True)
    ((type_, data),) = await stack.events(call_id)
    assert (type_, data["reason"], data["attempted"], data["is_final"]) == ("failed", "suppressed", False, True)
    stack.clock.advance(60)
    await stack.place_due()
    assert len(stack.provider.dials) == 1


async def test_a_waiting_attempt_ends_with_its_expired_call(stack):
    call_id = await answered(stack, DEFERRED, expires_at=stack.clock.now() + timedelta(seconds=1))
    stack.clock.advance(2)
    await stack.place_due()
    assert (await stack.call(call_id))["status"] == "expired"
    assert len(stack.provider.dials) == 1


@pytest.mark.parametrize("answer", [DEFERRED, NOT_SENT, ACCOUNT_REFUSED])
async def test_a_stop_asked_for_while_dialing_is_honoured_when_nothing_was_taken(stack, answer):
    message = await stack.accept()
    results = []

    async def cancel(_):
        results.append(await stack.cancel(message.call_id))

    stack.provider.during_dial = cancel
    stack.provider.script.append(answer)
    await stack.place(message)
    assert results == ["already_dispatched"]
    attempt, call, task = [await read(message.call_id) for read in (stack.attempt, stack.call, stack.task)]
    assert (call["status"], call["final"], attempt["state"]) == ("cancelled", True, "rejected")
    assert task["status"] not in ("pending", "held", "dispatched")
    ((type_, data),) = await stack.events(message.call_id)
    assert (type_, data["reason"], data["is_final"]) == ("failed", "cancelled", True)
    stack.clock.advance(3600)
    assert await stack.release() == []


async def test_a_call_cancelled_while_dialing_and_then_refused_is_cancelled(stack):
    message = await stack.accept()
    stack.provider.during_dial = lambda _: stack.cancel(message.call_id)
    stack.provider.script.append(REFUSED)
    await stack.place(message)
    call = await stack.call(message.call_id)
    assert (call["status"], call["final"]) == ("cancelled", True)
    assert [data["reason"] for _, data in await stack.events(message.call_id)] == ["refused"]


async def test_the_message_of_a_refusal_is_in_the_decision(stack):
    call_id = await answered(stack, replace(REFUSED, message="agent not found"))
    assert await stack.decisions(call_id, "dial_answer") == [
        {"answer": "refused", "cause": "http_422", "resend": False, "message": "agent not found"}
    ]


async def test_refused_fails_the_call_with_one_event_and_no_initiated(stack):
    call_id = await answered(stack, REFUSED)
    attempt, call = await stack.attempt(call_id), await stack.call(call_id)
    assert (attempt["state"], attempt["dial"], attempt["disconnection_reason"]) == ("rejected", "rejected", "http_422")
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["next_check_at"]) == (False, False, None)
    assert (call["status"], call["final"]) == ("failed", True)
    ((type_, data),) = await stack.events(call_id)
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


async def test_a_refused_call_is_not_retried_whatever_its_policy_says(stack):
    call_id = await answered(stack, REFUSED, retry=RetryPolicy(max_attempts=5))
    assert (await stack.call(call_id))["final"]
    stack.clock.advance(86400)
    assert await stack.release() == []


async def test_ambiguous_is_unknown_and_says_nothing_yet(stack):
    call_id = await answered(stack, AMBIGUOUS)
    attempt, call = await stack.attempt(call_id), await stack.call(call_id)
    assert (attempt["state"], call["status"], call["final"]) == ("unknown", "unknown", False)
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["lease_until"]) == (True, True, None)
    assert await seconds_until(stack, attempt["next_check_at"]) == 5
    assert (await stack.task(call_id))["status"] == "consumed"
    assert await stack.events(call_id) == []


async def test_a_callback_asked_for_while_dialing_is_what_a_deferred_attempt_waits_for(stack):
    message = await stack.accept()

    async def ask_for_callback(_):
        due_at = stack.clock.now() + timedelta(hours=2)
        async with stack.store.transaction() as tx:
            await tx.lock_call(message.call_id)
            await tx.insert(Task("task-cb", message.call_id, TaskKind.CALLBACK, due_at, created_at=stack.clock.now()))

    stack.provider.during_dial = ask_for_callback
    stack.provider.script.append(DEFERRED)
    await stack.place(message)
    stack.provider.during_dial = None
    open_tasks = await stack.all("SELECT * FROM tasks WHERE status = 'pending'")
    assert [task["task_id"] for task in open_tasks] == ["task-cb"]
    stack.clock.advance(7200)
    await stack.place_due()
    (attempt,) = await stack.attempts(message.call_id)
    assert (attempt["task_id"], attempt["state"], attempt["number"]) == ("task-cb", "placed", 1)
    assert (await stack.task(message.call_id))["status"] == TaskStatus.CONSUMED


async def test_a_webhook_before_the_answer_binds_once_and_the_answer_adds_nothing(stack):
    message = await stack.accept()
    stack.report_during_dial(message.call_id, stack.provider.rang, "call_1")
    await stack.place(message)
    attempt = await stack.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_1")
    assert await stack.event_types(message.call_id) == ["initiated"]
    assert await stack.all("SELECT payload FROM outbox WHERE kind = 'stop_call'") == []
    assert await stack.decisions(message.call_id, "incident_second_provider_call") == []


@pytest.mark.parametrize("answer", [AMBIGUOUS, DEFERRED, REFUSED, NOT_SENT, ACCOUNT_REFUSED])
async def test_evidence_that_came_first_beats_every_other_answer(stack, answer):
    message = await stack.accept()
    stack.report_during_dial(message.call_id, stack.provider.rang, "call_1")
    stack.provider.script.append(answer)
    await stack.place(message)
    attempt = await stack.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"], attempt["holds_person"]) == ("placed", "call_1", True)
    assert (await stack.task(message.call_id))["status"] == "consumed"
    assert await stack.event_types(message.call_id) == ["initiated"]
    assert (await stack.one("SELECT breaker_until FROM installation"))["breaker_until"] is None


async def test_an_answer_after_the_verdict_changes_nothing(stack):
    message = await stack.accept()
    stack.report_during_dial(message.call_id, stack.provider.no_answer, "call_1")
    await stack.place(message)
    call, attempt = await stack.call(message.call_id), await stack.attempt(message.call_id)
    assert (call["status"], call["final"], attempt["next_check_at"]) == ("failed", True, None)
    assert await stack.event_types(message.call_id) == ["initiated", "failed"]


async def test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped(stack):
    message = await stack.accept()
    stack.report_during_dial(message.call_id, stack.provider.rang, "call_other")
    await stack.place(message)
    assert (await stack.attempt(message.call_id))["provider_call_id"] == "call_other"
    row = await stack.one("SELECT payload FROM outbox WHERE kind = 'stop_call'")
    assert row["payload"]["provider_call_id"] == "call_1"
    assert await stack.decisions(message.call_id, "incident_second_provider_call") == [{"stopped": "call_1"}]
    assert stack.store.incidents == {"second_provider_call": 1, "abandoned": 0, "provider_lost": 0}


async def test_a_placed_answer_after_the_lease_was_swept_still_binds(stack):
    message = await stack.accept()
    stack.provider.during_dial = lambda _: stack.reconcile(after_s=61)
    await stack.place(message)
    attempt = await stack.attempt(message.call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_1")
    assert await stack.event_types(message.call_id) == ["initiated"]


@pytest.mark.parametrize("answer", [DEFERRED, REFUSED, ACCOUNT_REFUSED, AMBIGUOUS])
async def test_any_other_answer_after_the_lease_was_swept_leaves_it_unknown(stack, answer):
    message = await stack.accept()
    stack.provider.during_dial = lambda _: stack.reconcile(after_s=61)
    stack.provider.script.append(answer)
    await stack.place(message)
    assert (await stack.attempt(message.call_id))["state"] == "unknown"
    assert await stack.events(message.call_id) == []


async def test_a_refused_dial_is_logged_with_the_providers_message(stack):
    refusal = DialAnswer(DialAnswerKind.REJECTED, "http_422", message="from_number is not yours")
    with capture_logs() as lines:
        call_id = await answered(stack, refusal)
    (line,) = [line for line in lines if line["event"] == "call.dialed"]
    attempt_id = (await stack.attempt(call_id))["attempt_id"]
    assert (line["call_id"], line["attempt_id"], line["message"]) == (call_id, attempt_id, "from_number is not yours")
    assert (line["answer"], line["cause"]) == ("refused", "http_422")
    (concluded,) = [line for line in lines if line["event"] == "attempt.concluded"]
    assert (concluded["dial"], concluded["reason"]) == ("rejected", "refused")
    assert stack.rules.attempts == {("rejected", "unknown", "unknown"): 1}
