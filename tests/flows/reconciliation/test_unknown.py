"""An unclear answer is looked into on a schedule: found, or given up and said so, and never dialed on a guess."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.attempt import VoicemailAction
from ringback.domain.call import RetryPolicy
from tests.flows.call_processing.twins import AMBIGUOUS, DEFERRED


@pytest.fixture
def stack(stack):
    """Nothing is ever sent again here."""
    return stack.with_deadlines(same_key_window_s=0)


async def unclear(stack, **call):
    message = await stack.accept(**call)
    stack.provider.script.append(AMBIGUOUS)
    await stack.place(message)
    return message.call_id


async def test_a_worker_that_died_behind_its_claim_leaves_an_unknown_attempt_when_its_lease_ends(stack):
    message = await stack.accept()

    async def die(_):
        raise asyncio.CancelledError

    stack.provider.during_dial = die
    with pytest.raises(asyncio.CancelledError):
        await stack.place(message)
    await stack.reconcile(after_s=59)
    assert (await stack.attempt(message.call_id))["state"] == "dialing"
    await stack.reconcile(after_s=1)
    attempt = await stack.attempt(message.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("unknown", True, True)
    assert attempt["unknown_since"] == stack.clock.now()
    assert await stack.decisions(message.call_id, "lease_over") == [{"fence": 1}]
    await stack.place(message)
    assert len(stack.provider.dials) == 1


async def test_the_end_of_an_earlier_lease_does_not_end_a_later_claim(stack, monkeypatch):
    message = await stack.accept()
    seen, states = [], []

    async def see(request):
        seen.append(await stack.store.attempt_of(request.idempotency_key, None))

    async def sweep_late(request):
        await stack.reconcile()
        states.append((await stack.attempt(message.call_id))["state"])

    async def what_was_due(now, busy_until, limit):
        return seen

    stack.provider.during_dial = see
    stack.provider.script.append(DEFERRED)
    await stack.place(message)
    monkeypatch.setattr(stack.store, "attempts_to_check", what_was_due)
    stack.provider.during_dial = sweep_late
    stack.clock.advance(2)
    await stack.place_due()
    assert states == ["dialing"]
    assert (await stack.attempt(message.call_id))["state"] == "placed"


async def test_the_lookups_keep_to_their_schedule(stack):
    call_id = await unclear(stack)
    since = stack.clock.now()
    times = []
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
        times.append((stack.clock.now() - since).total_seconds())
    assert times == [5, 30, 120, 600, 1800, 4200]
    assert stack.provider.lookups == 6


async def test_the_slot_is_freed_by_the_second_clean_lookup_and_the_person_only_at_the_end(stack):
    call_id = await unclear(stack)
    held = []
    for _ in range(6):
        attempt = await stack.attempt(call_id)
        held.append((attempt["holds_slot"], attempt["holds_person"]))
        await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    held.append((attempt["holds_slot"], attempt["holds_person"]))
    assert held == [(True, True), (True, True), *[(False, True)] * 4, (False, False)]


async def test_a_failed_lookup_frees_nothing(stack):
    call_id = await unclear(stack)
    stack.provider.is_reachable = False
    for _ in range(4):
        await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["holds_slot"], attempt["lookups"], attempt["clean_lookups"]) == (True, 4, 0)


async def test_the_person_is_not_called_by_another_call_meanwhile(stack):
    await unclear(stack, phone="+14155550123")
    other = await stack.accept("+14155550123")
    await stack.place(other)
    assert await stack.last_rule(other.call_id) == "person_on_another_attempt"


async def test_a_call_that_is_found_is_bound_and_announced(stack):
    call_id = await unclear(stack)
    attempt_id = (await stack.attempt(call_id))["attempt_id"]
    await stack.check_when_due(call_id)
    stack.provider.rang(attempt_id, "call_found")
    await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_found")
    assert attempt["placed_at"] == attempt["sent_at"]
    assert await stack.event_types(call_id) == ["initiated"]
    assert (await stack.call(call_id))["status"] == "dialing"


async def test_a_call_that_is_found_when_it_is_over_gets_its_true_verdict_at_once(stack):
    call_id = await unclear(stack)
    stack.provider.no_answer((await stack.attempt(call_id))["attempt_id"], "call_found")
    await stack.check_when_due(call_id)
    assert await stack.event_types(call_id) == ["initiated", "failed"]
    assert (await stack.events(call_id))[1][1]["reason"] == "no_answer"


async def test_a_listed_call_is_found_even_when_its_details_cannot_be_read(stack):
    call_id = await unclear(stack)
    stack.provider.rang((await stack.attempt(call_id))["attempt_id"], "call_found")
    stack.provider.details_are_reachable = False
    await stack.check_when_due(call_id)
    assert (await stack.attempt(call_id))["provider_call_id"] == "call_found"


async def test_a_call_of_another_installation_is_not_taken_for_ours(stack):
    call_id = await unclear(stack)
    stack.provider.rang((await stack.attempt(call_id))["attempt_id"], "call_found", instance="another-instance")
    await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"], attempt["clean_lookups"]) == ("unknown", None, 1)


async def test_two_calls_found_for_one_attempt_are_an_incident_and_the_later_one_is_stopped(stack):
    call_id = await unclear(stack)
    attempt_id = (await stack.attempt(call_id))["attempt_id"]
    # Retell lists the newest first.
    stack.provider.rang(attempt_id, "call_2", started_at=stack.clock.now() + timedelta(seconds=9))
    stack.provider.rang(attempt_id, "call_1", started_at=stack.clock.now())
    await stack.check_when_due(call_id)
    assert (await stack.attempt(call_id))["provider_call_id"] == "call_1"
    assert (await stack.one("SELECT payload FROM outbox WHERE kind = 'stop_call'"))["payload"][
        "provider_call_id"
    ] == "call_2"


async def test_evidence_during_a_lookup_is_not_overwritten_by_what_the_lookup_did_not_find(stack):
    call_id = await unclear(stack)
    attempt_id = (await stack.attempt(call_id))["attempt_id"]

    async def webhook_meanwhile(_):
        await stack.hear(call_id, stack.provider.rang(attempt_id, "call_1"))
        return []

    stack.provider.find_attempt = webhook_meanwhile
    await stack.check_when_due(call_id)
    assert (await stack.attempt(call_id))["state"] == "placed"
    assert await stack.decisions(call_id, "lookup") == []


async def given_up(stack, **call):
    call_id = await unclear(stack, **call)
    for _ in range(6):
        await stack.check_when_due(call_id)
    return call_id


async def test_after_the_grace_the_attempt_is_abandoned_with_one_failed_event(stack):
    call_id = await given_up(stack)
    attempt, call = await stack.attempt(call_id), await stack.call(call_id)
    assert (attempt["state"], call["status"], call["final"]) == ("abandoned", "abandoned", True)
    assert attempt["next_check_at"] is None
    ((type_, data),) = await stack.events(call_id)
    expected = {
        "reason": "outcome_unknown",
        "provider_reason": None,
        "attempted": None,
        "will_retry": False,
        "next_attempt_at": None,
        "is_final": True,
    }
    assert type_ == "failed"
    assert {name: data[name] for name in expected} == expected
    assert await stack.decisions(call_id, "incident_abandoned") == [{"why": "grace_over"}]
    assert len(stack.provider.dials) == 1


async def test_an_abandoned_call_is_not_retried_and_counts_for_the_caps(stack):
    call_id = await given_up(stack, phone="+14155550123", retry=RetryPolicy(max_attempts=5))
    assert await stack.release() == []
    assert len(await stack.attempts(call_id)) == 1
    stack.with_policy(attempts_per_day=1)
    other = await stack.accept("+14155550123")
    await stack.place(other)
    assert await stack.last_rule(other.call_id) == "attempts_per_day"


async def test_evidence_after_the_abandonment_still_advances_it_and_its_end_corrects(stack):
    call_id = await given_up(stack)
    attempt_id = (await stack.attempt(call_id))["attempt_id"]
    abandoned_event = (await stack.all("SELECT message_id FROM outbox WHERE kind = 'abt_event'"))[0]["message_id"]
    await stack.hear(call_id, stack.provider.rang(attempt_id, "call_1"))
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("placed", True, True)
    stack.provider.no_answer(attempt_id, "call_1")
    await stack.check_when_due(call_id)
    events = await stack.events(call_id)
    assert [type_ for type_, _ in events] == ["failed", "initiated", "failed"]
    assert (events[2][1]["corrects"], events[2][1]["reason"]) == (abandoned_event, "no_answer")
    assert (await stack.call(call_id))["status"] == "failed"


async def test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible(stack):
    call_id = await unclear(stack)
    since = stack.clock.now()
    stack.provider.is_reachable = False
    waits = []
    while (await stack.attempt(call_id))["state"] == "unknown":
        waits.append(await stack.check_when_due(call_id))
    assert waits[:6] == [5, 25, 90, 480, 1200, 2400]
    assert set(waits[6:]) == {3600}
    assert 86400 <= (stack.clock.now() - since).total_seconds() < 86400 + 3600
    assert await stack.decisions(call_id, "incident_abandoned") == [{"why": "lookup_impossible"}]
    assert [data["reason"] for _, data in await stack.events(call_id)] == ["outcome_unknown"]


async def test_a_provider_that_is_back_after_the_grace_decides_by_its_first_word(stack):
    lost, found = await unclear(stack), await unclear(stack)
    stack.provider.is_reachable = False
    for _ in range(7):
        await stack.check_when_due(lost)
    stack.provider.is_reachable = True
    stack.provider.no_answer((await stack.attempt(found))["attempt_id"], "call_late")
    await stack.check_when_due(lost)
    assert (await stack.attempt(lost))["state"] == "abandoned"
    assert await stack.event_types(found) == ["initiated", "failed"]


async def test_a_cancellation_meanwhile_lets_nothing_follow_and_the_outcome_stays_honest(stack):
    call_id = await unclear(stack)
    assert await stack.cancel(call_id) == "already_dispatched"
    for _ in range(6):
        await stack.check_when_due(call_id)
    assert [data["reason"] for _, data in await stack.events(call_id)] == ["outcome_unknown"]
    assert (await stack.call(call_id))["final"]


async def test_two_schedulers_look_up_one_attempt_once(stack):
    call_id = await unclear(stack)
    stack.clock.advance(5)
    found = await asyncio.gather(stack.reconcile(), stack.reconcile(), stack.reconcile())
    assert sorted(found) == [0, 0, 1]
    assert (await stack.attempt(call_id))["lookups"] == 1


async def test_a_lookup_that_took_longer_than_the_next_one_is_not_counted(stack):
    call_id = await unclear(stack)
    find = stack.provider.find_attempt

    async def slow(attempt_id):
        stack.provider.find_attempt = find
        assert await stack.reconcile(after_s=30) == 1
        return []

    stack.provider.find_attempt = slow
    await stack.check_when_due(call_id)
    attempt = await stack.attempt(call_id)
    assert (attempt["lookups"], attempt["clean_lookups"]) == (1, 1)
    assert len(await stack.decisions(call_id, "lookup")) == 1


async def test_one_attempt_that_cannot_be_handled_does_not_hold_up_the_others(stack):
    broken, whole = await unclear(stack), await unclear(stack)
    broken_id = (await stack.attempt(broken))["attempt_id"]
    find = stack.provider.find_attempt

    async def stumbles(attempt_id):
        if attempt_id == broken_id:
            raise ValueError("a shape nobody foresaw")
        return await find(attempt_id)

    stack.provider.find_attempt = stumbles
    with pytest.raises(ValueError):
        await stack.reconcile(after_s=5)
    assert (await stack.attempt(whole))["lookups"] == 1
    await stack.reconcile(after_s=25)
    assert (await stack.attempt(whole))["lookups"] == 2
    assert (await stack.attempt(broken))["state"] == "unknown"


async def test_what_the_agent_does_on_a_voicemail_is_known_of_an_unclear_call_too(stack):
    stack.provider.action = VoicemailAction.MESSAGE
    call_id = await unclear(stack)
    assert (await stack.attempt(call_id))["voicemail_action"] == "message"


async def test_an_attempt_whose_call_is_bound_to_another_is_surfaced_and_not_looked_up_for_ever(stack):
    other = await stack.accept()
    await stack.place(other)  # has call_1
    call_id = await unclear(stack)
    stack.provider.rang((await stack.attempt(call_id))["attempt_id"], "call_1")
    started = stack.clock.now()
    while (await stack.attempt(call_id))["state"] == "unknown":
        await stack.check_when_due(call_id)
    assert stack.clock.now() - started <= timedelta(hours=25)
    attempt = await stack.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["provider_call_id"]) == ("abandoned", False, None)
    assert await stack.decisions(call_id, "incident_abandoned") == [{"why": "lookup_impossible"}]
    assert (await stack.attempt(other.call_id))["provider_call_id"] == "call_1"
    assert len(stack.provider.dials) == 2
