"""An unclear answer is looked into on a schedule: found, or given up and said so, and never dialed on a guess."""

import asyncio
from datetime import timedelta

import pytest

from ringback.domain.attempt import VoicemailAction
from ringback.domain.call import RetryPolicy

from .twins import AMBIGUOUS, DEFERRED


@pytest.fixture
def desk(desk):
    """Nothing is ever sent again here."""
    return desk.with_deadlines(same_key_window_s=0)


async def unclear(desk, **call):
    message = await desk.accept(**call)
    desk.provider.script.append(AMBIGUOUS)
    await desk.place(message)
    return message.call_id


async def test_a_worker_that_died_behind_its_claim_leaves_an_unknown_attempt_when_its_lease_ends(desk):
    message = await desk.accept()

    async def die(_):
        raise asyncio.CancelledError

    desk.provider.during_dial = die
    with pytest.raises(asyncio.CancelledError):
        await desk.place(message)
    await desk.look_after(after_s=59)
    assert (await desk.attempt(message.call_id))["state"] == "dialing"
    await desk.look_after(after_s=1)
    attempt = await desk.attempt(message.call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("unknown", True, True)
    assert attempt["unknown_since"] == desk.clock.now()
    assert await desk.decisions(message.call_id, "lease_over") == [{"fence": 1}]
    await desk.place(message)
    assert len(desk.provider.dials) == 1


async def test_the_end_of_an_earlier_lease_does_not_end_a_later_claim(desk, monkeypatch):
    message = await desk.accept()
    seen, states = [], []

    async def see(request):
        seen.append(await desk.store.attempt_of(request.idempotency_key, None))

    async def sweep_late(request):
        await desk.look_after()
        states.append((await desk.attempt(message.call_id))["state"])

    async def what_was_due(now, busy_until, limit):
        return seen

    desk.provider.during_dial = see
    desk.provider.script.append(DEFERRED)
    await desk.place(message)
    monkeypatch.setattr(desk.store, "attempts_to_check", what_was_due)
    desk.provider.during_dial = sweep_late
    desk.clock.advance(2)
    await desk.place_due()
    assert states == ["dialing"]
    assert (await desk.attempt(message.call_id))["state"] == "placed"


async def test_the_lookups_keep_to_their_schedule(desk):
    call_id = await unclear(desk)
    since = desk.clock.now()
    times = []
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
        times.append((desk.clock.now() - since).total_seconds())
    assert times == [5, 30, 120, 600, 1800, 4200]
    assert desk.provider.lookups == 6


async def test_the_slot_is_freed_by_the_second_clean_lookup_and_the_person_only_at_the_end(desk):
    call_id = await unclear(desk)
    held = []
    for _ in range(6):
        attempt = await desk.attempt(call_id)
        held.append((attempt["holds_slot"], attempt["holds_person"]))
        await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    held.append((attempt["holds_slot"], attempt["holds_person"]))
    assert held == [(True, True), (True, True), *[(False, True)] * 4, (False, False)]


async def test_a_failed_lookup_frees_nothing(desk):
    call_id = await unclear(desk)
    desk.provider.is_reachable = False
    for _ in range(4):
        await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    assert (attempt["holds_slot"], attempt["lookups"], attempt["clean_lookups"]) == (True, 4, 0)


async def test_the_person_is_not_called_by_another_call_meanwhile(desk):
    await unclear(desk, phone="+14155550123")
    other = await desk.accept("+14155550123")
    await desk.place(other)
    assert await desk.last_rule(other.call_id) == "person_on_another_attempt"


async def test_a_call_that_is_found_is_bound_and_announced(desk):
    call_id = await unclear(desk)
    attempt_id = (await desk.attempt(call_id))["attempt_id"]
    await desk.check_when_due(call_id)
    desk.provider.rang(attempt_id, "call_found")
    await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"]) == ("placed", "call_found")
    assert attempt["placed_at"] == attempt["sent_at"]
    assert await desk.event_types(call_id) == ["initiated"]
    assert (await desk.call(call_id))["status"] == "dialing"


async def test_a_call_that_is_found_when_it_is_over_gets_its_true_verdict_at_once(desk):
    call_id = await unclear(desk)
    desk.provider.no_answer((await desk.attempt(call_id))["attempt_id"], "call_found")
    await desk.check_when_due(call_id)
    assert await desk.event_types(call_id) == ["initiated", "failed"]
    assert (await desk.events(call_id))[1][1]["reason"] == "no_answer"


async def test_a_listed_call_is_found_even_when_its_details_cannot_be_read(desk):
    call_id = await unclear(desk)
    desk.provider.rang((await desk.attempt(call_id))["attempt_id"], "call_found")
    desk.provider.details_are_reachable = False
    await desk.check_when_due(call_id)
    assert (await desk.attempt(call_id))["provider_call_id"] == "call_found"


async def test_a_call_of_another_installation_is_not_taken_for_ours(desk):
    call_id = await unclear(desk)
    desk.provider.rang((await desk.attempt(call_id))["attempt_id"], "call_found", instance="another-instance")
    await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["provider_call_id"], attempt["clean_lookups"]) == ("unknown", None, 1)


async def test_two_calls_found_for_one_attempt_are_an_incident(desk):
    call_id = await unclear(desk)
    attempt_id = (await desk.attempt(call_id))["attempt_id"]
    desk.provider.rang(attempt_id, "call_1")
    desk.provider.rang(attempt_id, "call_2")
    await desk.check_when_due(call_id)
    assert (await desk.attempt(call_id))["provider_call_id"] == "call_1"
    assert (await desk.one("SELECT payload FROM outbox WHERE kind = 'stop_call'"))["payload"][
        "provider_call_id"
    ] == "call_2"


async def test_evidence_during_a_lookup_is_not_overwritten_by_what_the_lookup_did_not_find(desk):
    call_id = await unclear(desk)
    attempt_id = (await desk.attempt(call_id))["attempt_id"]

    async def webhook_meanwhile(_):
        await desk.hear(call_id, desk.provider.rang(attempt_id, "call_1"))
        return []

    desk.provider.find_attempt = webhook_meanwhile
    await desk.check_when_due(call_id)
    assert (await desk.attempt(call_id))["state"] == "placed"
    assert await desk.decisions(call_id, "lookup") == []


async def given_up(desk, **call):
    call_id = await unclear(desk, **call)
    for _ in range(6):
        await desk.check_when_due(call_id)
    return call_id


async def test_after_the_grace_the_attempt_is_abandoned_with_one_failed_event(desk):
    call_id = await given_up(desk)
    attempt, call = await desk.attempt(call_id), await desk.call(call_id)
    assert (attempt["state"], call["status"], call["final"]) == ("abandoned", "abandoned", True)
    assert attempt["next_check_at"] is None
    ((type_, data),) = await desk.events(call_id)
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
    assert await desk.decisions(call_id, "incident_abandoned") == [{"why": "grace_over"}]
    assert len(desk.provider.dials) == 1


async def test_an_abandoned_call_is_not_retried_and_counts_for_the_caps(desk):
    call_id = await given_up(desk, phone="+14155550123", retry=RetryPolicy(max_attempts=5))
    assert await desk.release() == []
    assert len(await desk.attempts(call_id)) == 1
    desk.with_policy(attempts_per_day=1)
    other = await desk.accept("+14155550123")
    await desk.place(other)
    assert await desk.last_rule(other.call_id) == "attempts_per_day"


async def test_evidence_after_the_abandonment_still_advances_it_and_its_end_corrects(desk):
    call_id = await given_up(desk)
    attempt_id = (await desk.attempt(call_id))["attempt_id"]
    abandoned_event = (await desk.all("SELECT message_id FROM outbox WHERE kind = 'abt_event'"))[0]["message_id"]
    await desk.hear(call_id, desk.provider.rang(attempt_id, "call_1"))
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["holds_slot"]) == ("placed", True, True)
    desk.provider.no_answer(attempt_id, "call_1")
    await desk.check_when_due(call_id)
    events = await desk.events(call_id)
    assert [type_ for type_, _ in events] == ["failed", "initiated", "failed"]
    assert (events[2][1]["corrects"], events[2][1]["reason"]) == (abandoned_event, "no_answer")
    assert (await desk.call(call_id))["status"] == "failed"


async def test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible(desk):
    call_id = await unclear(desk)
    since = desk.clock.now()
    desk.provider.is_reachable = False
    waits = []
    while (await desk.attempt(call_id))["state"] == "unknown":
        waits.append(await desk.check_when_due(call_id))
    assert waits[:6] == [5, 25, 90, 480, 1200, 2400]
    assert set(waits[6:]) == {3600}
    assert 86400 <= (desk.clock.now() - since).total_seconds() < 86400 + 3600
    assert await desk.decisions(call_id, "incident_abandoned") == [{"why": "lookup_impossible"}]
    assert [data["reason"] for _, data in await desk.events(call_id)] == ["outcome_unknown"]


async def test_a_provider_that_is_back_after_the_grace_decides_by_its_first_word(desk):
    lost, found = await unclear(desk), await unclear(desk)
    desk.provider.is_reachable = False
    for _ in range(7):
        await desk.check_when_due(lost)
    desk.provider.is_reachable = True
    desk.provider.no_answer((await desk.attempt(found))["attempt_id"], "call_late")
    await desk.check_when_due(lost)
    assert (await desk.attempt(lost))["state"] == "abandoned"
    assert await desk.event_types(found) == ["initiated", "failed"]


async def test_a_cancellation_meanwhile_lets_nothing_follow_and_the_outcome_stays_honest(desk):
    call_id = await unclear(desk)
    assert await desk.cancel(call_id) == "already_dispatched"
    for _ in range(6):
        await desk.check_when_due(call_id)
    assert [data["reason"] for _, data in await desk.events(call_id)] == ["outcome_unknown"]
    assert (await desk.call(call_id))["final"]


async def test_two_schedulers_look_up_one_attempt_once(desk):
    call_id = await unclear(desk)
    desk.clock.advance(5)
    found = await asyncio.gather(desk.look_after(), desk.look_after(), desk.look_after())
    assert sorted(found) == [0, 0, 1]
    assert (await desk.attempt(call_id))["lookups"] == 1


async def test_a_lookup_that_took_longer_than_the_next_one_is_not_counted(desk):
    call_id = await unclear(desk)
    find = desk.provider.find_attempt

    async def slow(attempt_id):
        desk.provider.find_attempt = find
        assert await desk.look_after(after_s=30) == 1
        return []

    desk.provider.find_attempt = slow
    await desk.check_when_due(call_id)
    attempt = await desk.attempt(call_id)
    assert (attempt["lookups"], attempt["clean_lookups"]) == (1, 1)
    assert len(await desk.decisions(call_id, "lookup")) == 1


async def test_one_attempt_that_cannot_be_handled_does_not_hold_up_the_others(desk):
    broken, whole = await unclear(desk), await unclear(desk)
    broken_id = (await desk.attempt(broken))["attempt_id"]
    find = desk.provider.find_attempt

    async def stumbles(attempt_id):
        if attempt_id == broken_id:
            raise ValueError("a shape nobody foresaw")
        return await find(attempt_id)

    desk.provider.find_attempt = stumbles
    with pytest.raises(ValueError):
        await desk.look_after(after_s=5)
    assert (await desk.attempt(whole))["lookups"] == 1
    await desk.look_after(after_s=25)
    assert (await desk.attempt(whole))["lookups"] == 2
    assert (await desk.attempt(broken))["state"] == "unknown"


async def test_what_the_agent_does_on_a_voicemail_is_known_of_an_unclear_call_too(desk):
    desk.provider.action = VoicemailAction.MESSAGE
    call_id = await unclear(desk)
    assert (await desk.attempt(call_id))["voicemail_action"] == "message"


async def test_an_attempt_whose_call_is_bound_to_another_is_surfaced_and_not_looked_up_for_ever(desk):
    other = await desk.accept()
    await desk.place(other)  # has call_1
    call_id = await unclear(desk)
    desk.provider.rang((await desk.attempt(call_id))["attempt_id"], "call_1")
    started = desk.clock.now()
    while (await desk.attempt(call_id))["state"] == "unknown":
        await desk.check_when_due(call_id)
    assert desk.clock.now() - started <= timedelta(hours=25)
    attempt = await desk.attempt(call_id)
    assert (attempt["state"], attempt["holds_person"], attempt["provider_call_id"]) == ("abandoned", False, None)
    assert await desk.decisions(call_id, "incident_abandoned") == [{"why": "lookup_impossible"}]
    assert (await desk.attempt(other.call_id))["provider_call_id"] == "call_1"
    assert len(desk.provider.dials) == 2
