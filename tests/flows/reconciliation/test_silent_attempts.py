"""With no webhook at all, each placed attempt still reaches its right terminal event, by asking."""

from dataclasses import replace

import pytest

from ringback.domain.call import RetryPolicy
from ringback.domain.provider_report import Analysis, ProviderStatus

GOAL_MET = Analysis(summary="They agreed.", successful=True)


async def placed(stack, **call):
    message = await stack.accept(**call)
    await stack.place(message)
    return message.call_id, (await stack.attempt(message.call_id))["attempt_id"]


async def test_silence_is_asked_about_until_the_call_is_over(stack):
    call_id, attempt_id = await placed(stack)
    waits = [await stack.check_when_due(call_id)]
    stack.provider.rang(attempt_id, status=ProviderStatus.ONGOING)
    waits.append(await stack.check_when_due(call_id))
    assert (await stack.call(call_id))["status"] == "in_progress"
    stack.provider.talked(attempt_id, analysis=GOAL_MET)
    waits.append(await stack.check_when_due(call_id))
    # The first was asked about before the provider knew the call, so it was a failure: twice the silence.
    assert waits == [180, 360, 180]
    assert await stack.event_types(call_id) == ["initiated", "started", "completed"]
    assert (await stack.attempt(call_id))["next_check_at"] is None
    assert (await stack.call(call_id))["status"] == "completed"


async def test_a_polled_call_that_never_connected_is_decided_without_analysis(stack):
    call_id, attempt_id = await placed(stack, retry=RetryPolicy(max_attempts=2, delay_s=(3600,)))
    stack.provider.no_answer(attempt_id)
    await stack.check_when_due(call_id)
    ((_, _), (type_, data)) = await stack.events(call_id)
    assert (type_, data["reason"], data["will_retry"], data["is_final"]) == ("failed", "no_answer", True, False)
    assert (await stack.attempt(call_id))["holds_slot"] is False
    assert (await stack.call(call_id))["status"] == "scheduled"
    stack.clock.advance(3600)
    await stack.place_due()
    assert [attempt["number"] for attempt in await stack.attempts(call_id)] == [1, 2]


@pytest.mark.parametrize("status", [ProviderStatus.NOT_CONNECTED, ProviderStatus.ERROR])
async def test_a_polled_call_that_is_over_without_a_reason_is_decided_all_the_same(stack, status):
    call_id, attempt_id = await placed(stack)
    stack.provider.rang(attempt_id, status=status)
    await stack.check_when_due(call_id)
    assert await stack.event_types(call_id) == ["initiated", "failed"]
    assert (await stack.call(call_id))["final"]


async def test_a_missing_analysis_is_asked_for_at_doubling_pauses_and_then_given_up(stack):
    call_id, attempt_id = await placed(stack)
    stack.clock.advance(180)
    stack.provider.talked(attempt_id)
    await stack.reconcile()
    waits = []
    while (await stack.attempt(call_id))["verdict_type"] is None:
        waits.append(await stack.check_when_due(call_id))
        assert len(waits) < 20, f"it is asked for again and again: {waits}"
    assert waits[:4] == [300, 600, 1200, 2400]
    assert sum(waits) == 86400
    events = await stack.events(call_id)
    assert [type_ for type_, _ in events] == ["initiated", "started", "partially_completed"]
    assert (events[2][1]["analysis"], events[2][1]["is_final"]) == ("missing", True)


async def test_the_pauses_for_the_analysis_do_not_depend_on_how_often_was_asked_before(stack):
    """A long conversation, asked about every three minutes, must not put the first look for its analysis off."""
    call_id, attempt_id = await placed(stack)
    stack.provider.rang(attempt_id, status=ProviderStatus.ONGOING)
    for _ in range(12):
        await stack.check_when_due(call_id)
    stack.provider.talked(attempt_id)
    await stack.check_when_due(call_id)
    ended_at = (await stack.attempt(call_id))["ended_at"]
    wait_s = await stack.check_when_due(call_id)
    assert wait_s <= 300
    assert (stack.clock.now() - ended_at).total_seconds() == 300


async def test_an_analysis_found_later_completes_the_call(stack):
    call_id, attempt_id = await placed(stack)
    stack.provider.talked(attempt_id)
    await stack.check_when_due(call_id)
    report = stack.provider.known["call_1"]
    stack.provider.known["call_1"] = replace(report, analysis=GOAL_MET)
    await stack.check_when_due(call_id)
    assert await stack.event_types(call_id) == ["initiated", "started", "completed"]


async def test_an_unreachable_provider_is_asked_at_doubling_pauses_up_to_hourly_and_lost_after_a_day(stack):
    call_id, _ = await placed(stack)
    placed_at = stack.clock.now()
    stack.provider.is_reachable = False
    waits = []
    while (await stack.attempt(call_id))["verdict_type"] is None:
        waits.append(await stack.check_when_due(call_id))
    assert waits[:6] == [180, 360, 720, 1440, 2880, 3600]
    assert 86400 <= (stack.clock.now() - placed_at).total_seconds() < 86400 + 3600
    attempt = await stack.attempt(call_id)
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["next_check_at"]) == (False, False, None)
    events = await stack.events(call_id)
    assert [type_ for type_, _ in events] == ["initiated", "failed"]
    assert (events[1][1]["reason"], events[1][1]["attempted"], events[1][1]["is_final"]) == (
        "provider_lost",
        True,
        True,
    )
    assert len(await stack.decisions(call_id, "incident_provider_lost")) == 1


@pytest.mark.parametrize("status", [ProviderStatus.REGISTERED, ProviderStatus.ONGOING])
async def test_a_provider_that_says_ringing_for_a_day_has_lost_the_call_too(stack, status):
    call_id, attempt_id = await placed(stack)
    stack.provider.rang(attempt_id, status=status)
    while (await stack.attempt(call_id))["verdict_type"] is None:
        await stack.check_when_due(call_id)
    assert (await stack.events(call_id))[-1][1]["reason"] == "provider_lost"
    attempt = await stack.attempt(call_id)
    assert (attempt["holds_person"], attempt["holds_slot"], attempt["next_check_at"]) == (False, False, None)


async def test_a_lost_call_that_is_heard_of_after_all_is_corrected(stack):
    call_id, attempt_id = await placed(stack)
    stack.provider.is_reachable = False
    while (await stack.attempt(call_id))["verdict_type"] is None:
        await stack.check_when_due(call_id)
    stack.provider.is_reachable = True
    await stack.hear(call_id, stack.provider.talked(attempt_id, analysis=GOAL_MET))
    events = await stack.events(call_id)
    assert [type_ for type_, _ in events] == ["initiated", "failed", "started", "completed"]
    assert events[3][1]["corrects"]
    assert (await stack.call(call_id))["status"] == "completed"


async def test_an_ended_conversation_is_told_by_what_is_known_when_the_provider_cannot_be_asked_any_more(stack):
    call_id, attempt_id = await placed(stack)
    await stack.hear(call_id, stack.provider.talked(attempt_id))
    stack.provider.is_reachable = False
    while (await stack.attempt(call_id))["verdict_type"] is None:
        await stack.check_when_due(call_id)
    events = await stack.events(call_id)
    assert [type_ for type_, _ in events] == ["initiated", "started", "partially_completed"]
    assert events[2][1]["analysis"] == "missing"


async def test_with_every_webhook_lost_each_call_reaches_its_own_end(stack):
    plays = {
        "no_answer": lambda id_, call: stack.provider.no_answer(id_, call),
        "completed": lambda id_, call: stack.provider.talked(id_, call, analysis=GOAL_MET),
        "partially_completed": lambda id_, call: stack.provider.talked(id_, call, analysis=Analysis(successful=False)),
    }
    calls = {}
    for name, play in plays.items():
        call_id, attempt_id = await placed(stack)
        play(attempt_id, (await stack.attempt(call_id))["provider_call_id"])
        calls[name] = call_id
    await stack.reconcile(after_s=180)
    for name, call_id in calls.items():
        type_, data = (await stack.events(call_id))[-1]
        assert name in (type_, data.get("reason"))
        assert data["is_final"]


async def test_a_check_that_died_with_its_process_is_taken_up_again_after_a_minute(stack):
    call_id, attempt_id = await placed(stack)
    stack.clock.advance(180)
    now = stack.clock.now()
    (taken,) = await stack.store.attempts_to_check(now, stack.clock.now().replace(minute=now.minute + 1), 10)
    assert taken.attempt_id == attempt_id
    assert await stack.reconcile() == 0
    stack.provider.no_answer(attempt_id)
    assert await stack.reconcile(after_s=60) == 1
    assert (await stack.call(call_id))["final"]


async def test_a_check_that_is_due_after_the_verdict_does_nothing(stack):
    call_id, attempt_id = await placed(stack)
    await stack.hear(call_id, stack.provider.no_answer(attempt_id))
    await stack.all("UPDATE attempts SET next_check_at = $1 RETURNING 1", stack.clock.now())
    before = await stack.events(call_id)
    assert await stack.reconcile() == 1
    assert await stack.events(call_id) == before
    assert (stack.provider.polls, (await stack.attempt(call_id))["next_check_at"]) == (0, None)
