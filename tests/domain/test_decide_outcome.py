"""The outcome of an attempt's facts: one value for each situation, decided without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.abt_event import AbtType, FailReason, event_id, rescheduled_event_id
from ringback.domain.attempt import AWAITING_VERDICT, SHOWN_AS_STATUS, USES_SLOT, Attempt, AttemptState, DialFact
from ringback.domain.call import STATUS_BY_STATE, Call, CallStatus, RetryPolicy, Task, TaskKind, TaskStatus
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import (
    Occasion,
    Outcome,
    OutcomeInputs,
    TerminalEvent,
    Verdict,
    VerdictChange,
    decide_outcome,
)

PLACED_AT = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
ENDED_AT = PLACED_AT + timedelta(seconds=90)
NOW = ENDED_AT + timedelta(seconds=5)
TOMORROW = PLACED_AT + timedelta(days=1)
ZONES = ("America/Los_Angeles",)
POLICY = DialPolicy(frozenset({"US"}), CallingHours(), 20, 1, 0, 0, 60)
DEADLINES = Deadlines(180, 20, 300, 86400, 3600, (5, 30), 2700, 1800)

COMPLETED = Verdict(AbtType.COMPLETED)
PARTIALLY = Verdict(AbtType.PARTIALLY_COMPLETED)
LEFT_VOICEMAIL = Verdict(AbtType.LEFT_VOICEMAIL)
NO_ANSWER = Verdict(AbtType.FAILED, FailReason.NO_ANSWER)
BUSY = Verdict(AbtType.FAILED, FailReason.BUSY)
DECLINED = Verdict(AbtType.FAILED, FailReason.DECLINED)
CAPACITY = Verdict(AbtType.FAILED, FailReason.CAPACITY)
REFUSED = Verdict(AbtType.FAILED, FailReason.REFUSED)
UNKNOWN = Verdict(AbtType.FAILED, FailReason.OUTCOME_UNKNOWN)
LOST = Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST)

OWN_EVENT = event_id("a1", "verdict", 0)
FIRST_CORRECTION = event_id("a1", "verdict", 1)
REPORTED = Occasion(NOW)
GIVEN_UP = Occasion(NOW, is_given_up=True)


def an_attempt(state=AttemptState.ANALYZED, **facts) -> Attempt:
    attempt = Attempt("a1", "c1", "crm-1", "+14155550100", 1, "t1", {}, state)
    attempt.sent_at = attempt.placed_at = PLACED_AT
    attempt.holds_person = attempt.holds_slot = True
    for name, value in facts.items():
        setattr(attempt, name, value)
    return attempt


def a_talk(state=AttemptState.ANALYZED, **facts) -> Attempt:
    known = {"connected": True, "started_at": PLACED_AT, "ended_at": ENDED_AT, "dial": DialFact.ANSWERED}
    return an_attempt(state, **{**known, "started_event": True, **facts})


def a_told_failure(**facts) -> Attempt:
    """An attempt whose `failed`, for no answer, has been emitted."""
    told = {"verdict_type": "voice_ai_call_failed", "verdict_event_id": OWN_EVENT}
    return an_attempt(**{**told, "verdict_digest": "voice_ai_call_failed:no_answer:", **facts})


def a_call(**facts) -> Call:
    retry = RetryPolicy(3, (600, 3600))
    expires_at = PLACED_AT + timedelta(days=7)
    call = Call("c1", "crm-1", "+14155550100", "g", "+14155550199", {}, {}, retry, PLACED_AT, expires_at, False)
    call.status, call.attempts_made, call.budget_used = CallStatus.DIALING, 1, 1
    for name, value in facts.items():
        setattr(call, name, value)
    return call


def a_task(kind=TaskKind.RETRY, **facts) -> Task:
    return Task("t2", "c1", kind, TOMORROW, **facts)


def decided(attempt, call=None, verdict=None, *, occasion=REPORTED, task=None, **inputs) -> Outcome:
    asked = OutcomeInputs(occasion, POLICY, DEADLINES, task, zones=ZONES, **inputs)
    return decide_outcome(attempt, call or a_call(), verdict, asked)


def change(attempt, call=None, verdict=None, **inputs) -> VerdictChange:
    found = decided(attempt, call, verdict, **inputs).change
    assert found is not None, "nothing changes"
    return found


def event(attempt, call=None, verdict=None, **inputs) -> TerminalEvent:
    found = change(attempt, call, verdict, **inputs).event
    assert found is not None, "no event is emitted"
    return found


def test_a_completed_talk_ends_the_call_with_one_final_event():
    assert decided(a_talk(), verdict=COMPLETED) == Outcome(
        emits_started=False,
        change=VerdictChange(
            type=AbtType.COMPLETED,
            event_id=OWN_EVENT,
            digest="voice_ai_call_completed::",
            event=TerminalEvent(OWN_EVENT, COMPLETED, None, is_final=True),
            closing_status=CallStatus.COMPLETED,
        ),
        holds_slot=False,
        holds_person=False,
        next_check_at=None,
        status=CallStatus.COMPLETED,
    )


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (COMPLETED, CallStatus.COMPLETED),
        (PARTIALLY, CallStatus.PARTIALLY_COMPLETED),
        (LEFT_VOICEMAIL, CallStatus.LEFT_VOICEMAIL),
        (DECLINED, CallStatus.FAILED),
        (UNKNOWN, CallStatus.ABANDONED),
        (LOST, CallStatus.FAILED),
    ],
)
def test_the_last_verdict_gives_the_call_its_status(verdict, status):
    outcome = decided(a_talk(), verdict=verdict)
    assert (outcome.status, outcome.change.closing_status) == (status, status)


def test_a_verdict_that_was_emitted_changes_nothing():
    closed = a_call(final=True, status=CallStatus.FAILED, closing_event_id=OWN_EVENT)
    outcome = decided(a_told_failure(), closed, NO_ANSWER)
    assert (outcome.change, outcome.status, outcome.holds_person) == (None, CallStatus.FAILED, False)


def test_nothing_is_changed_by_deciding():
    attempt, call, task = a_told_failure(), a_call(), a_task()
    before = (replace(attempt), replace(call), replace(task))
    decided(attempt, call, COMPLETED, task=task)
    assert (attempt, call, task) == before


# Retries.


@pytest.mark.parametrize("verdict", [NO_ANSWER, BUSY])
def test_a_failure_that_the_policy_names_is_retried_after_its_delay(verdict):
    outcome = decided(an_attempt(connected=False), verdict=verdict)
    due_at = PLACED_AT + timedelta(seconds=600)
    assert outcome.change.retry_due_at == due_at
    assert outcome.change.event == TerminalEvent(OWN_EVENT, verdict, due_at, is_final=False)
    assert (outcome.status, outcome.change.closing_status) == (CallStatus.SCHEDULED, None)


@pytest.mark.parametrize("verdict", [DECLINED, COMPLETED, PARTIALLY, LEFT_VOICEMAIL, LOST])
def test_no_other_verdict_is_retried(verdict):
    assert change(a_talk(), verdict=verdict).retry_due_at is None
    assert event(a_talk(), verdict=verdict).is_final


def test_the_last_attempt_of_the_budget_is_final():
    assert event(an_attempt(), a_call(budget_used=3), NO_ANSWER).is_final
    assert not event(an_attempt(), a_call(budget_used=2), NO_ANSWER).is_final


@pytest.mark.parametrize("why_not", ["opt_out", "cancelled", "suppressed"])
def test_nothing_follows_once_no_more_retries_are_wanted(why_not):
    found = change(an_attempt(), a_call(no_more_retries=why_not), NO_ANSWER)
    assert (found.retry_due_at, found.event.is_final) == (None, True)


def test_a_suppressed_person_is_not_retried():
    found = change(an_attempt(), verdict=NO_ANSWER, suppressed=True)
    assert (found.retry_due_at, found.event.next_at, found.event.is_final) == (None, None, True)


@pytest.mark.parametrize(("verdict", "delay_s"), [(NO_ANSWER, 600), (CAPACITY, 60)])
def test_a_retry_due_at_the_very_expiry_is_not_promised_and_a_second_before_it_is(verdict, delay_s):
    at_expiry = a_call(expires_at=PLACED_AT + timedelta(seconds=delay_s))
    assert event(an_attempt(), at_expiry, verdict) == TerminalEvent(OWN_EVENT, verdict, None, is_final=True)
    later = a_call(expires_at=PLACED_AT + timedelta(seconds=delay_s + 1))
    due_at = PLACED_AT + timedelta(seconds=delay_s)
    assert event(an_attempt(), later, verdict) == TerminalEvent(OWN_EVENT, verdict, due_at, is_final=False)


def test_a_call_without_capacity_is_retried_outside_the_budget():
    found = change(an_attempt(), a_call(budget_used=3), CAPACITY)
    assert (found.budget_change, found.retry_due_at) == (-1, PLACED_AT + timedelta(seconds=60))


def test_a_call_without_capacity_gives_its_budget_back_even_if_nothing_follows():
    found = change(an_attempt(), a_call(no_more_retries="cancelled"), CAPACITY)
    assert (found.budget_change, found.retry_due_at, found.closing_status) == (-1, None, CallStatus.CANCELLED)


def test_an_attempt_that_was_not_placed_is_not_retried():
    unplaced = an_attempt(AttemptState.ABANDONED, placed_at=None)
    assert event(unplaced, verdict=UNKNOWN, occasion=GIVEN_UP).is_final


def test_a_talk_whose_promised_callback_stands_ends_as_rescheduled_and_emits_nothing():
    callback = a_task(TaskKind.CALLBACK, from_attempt="a1")
    outcome = decided(a_talk(), verdict=PARTIALLY, task=callback)
    digest = "voice_ai_call_partially_completed::"
    assert outcome.change == VerdictChange(AbtType.RESCHEDULED, rescheduled_event_id("t2"), digest)
    assert outcome.status is CallStatus.SCHEDULED


def test_a_rejected_dial_has_an_event_of_its_own_beside_a_promised_callback():
    rejected, callback = an_attempt(AttemptState.REJECTED, placed_at=None), a_task(TaskKind.CALLBACK, from_attempt="a1")
    assert event(rejected, None, REFUSED, task=callback) == TerminalEvent(OWN_EVENT, REFUSED, TOMORROW, is_final=False)


def test_a_met_goal_is_told_although_a_callback_was_promised_and_does_not_end_the_call():
    found = event(a_talk(), verdict=COMPLETED, task=a_task(TaskKind.CALLBACK, from_attempt="a1"))
    assert found == TerminalEvent(OWN_EVENT, COMPLETED, TOMORROW, is_final=False)


def test_a_callback_of_another_attempt_suppresses_the_retry_and_promises_the_next_attempt():
    outcome = decided(an_attempt(), verdict=NO_ANSWER, task=a_task(TaskKind.CALLBACK, from_attempt="a0"))
    assert outcome.change.retry_due_at is None
    assert outcome.change.event == TerminalEvent(OWN_EVENT, NO_ANSWER, TOMORROW, is_final=False)
    assert outcome.status is CallStatus.SCHEDULED
    held = Task("t2", "c1", TaskKind.CALLBACK, NOW, TaskStatus.HELD, from_attempt="a0", due_before_hold=TOMORROW)
    assert event(an_attempt(), verdict=NO_ANSWER, task=held).next_at == TOMORROW


def test_a_met_goal_corrects_the_rescheduled_that_ended_the_attempt():
    told = a_talk(verdict_type=AbtType.RESCHEDULED, verdict_event_id="moved", verdict_digest="p")
    found = event(told, verdict=COMPLETED, task=a_task(TaskKind.CALLBACK, from_attempt="a1"))
    assert (found.corrects, found.revision, found.is_final) == ("moved", 1, False)


# Corrections.


def test_a_correction_names_what_it_corrects_and_stands_in_for_the_event_that_closed_the_call():
    closed = a_call(final=True, status=CallStatus.FAILED, closing_event_id=OWN_EVENT)
    outcome = decided(a_told_failure(connected=True, started_event=True), closed, COMPLETED)
    assert outcome.change.event == TerminalEvent(FIRST_CORRECTION, COMPLETED, None, True, OWN_EVENT, 1)
    assert (outcome.status, outcome.change.event_id) == (CallStatus.COMPLETED, FIRST_CORRECTION)


def test_the_second_correction_corrects_the_first():
    told = a_told_failure(verdict_event_id=FIRST_CORRECTION, revision=1)
    found = event(told, a_call(final=True, closing_event_id=FIRST_CORRECTION), BUSY)
    assert (found.event_id, found.corrects, found.revision) == (event_id("a1", "verdict", 2), FIRST_CORRECTION, 2)


def test_a_correction_of_what_did_not_close_the_call_is_not_final():
    closed = a_call(final=True, status=CallStatus.COMPLETED, closing_event_id="another", attempts_made=2)
    outcome = decided(a_told_failure(), closed, PARTIALLY)
    assert (outcome.change.event.is_final, outcome.change.closing_status) == (False, None)
    assert outcome.status is CallStatus.COMPLETED


def test_a_correction_cancels_the_retry_that_is_not_due_any_more_and_is_final():
    outcome = decided(a_told_failure(), a_call(status=CallStatus.SCHEDULED), COMPLETED, task=a_task())
    assert (outcome.change.cancels_retry, outcome.change.event.next_at) == (True, None)
    assert (outcome.change.event.is_final, outcome.status) == (True, CallStatus.COMPLETED)


@pytest.mark.parametrize("verdict", [BUSY, CAPACITY])
def test_a_correction_keeps_a_retry_that_is_due_all_the_same(verdict):
    found = change(a_told_failure(), verdict=verdict, task=a_task())
    assert (found.cancels_retry, found.event.next_at, found.event.is_final) == (False, TOMORROW, False)
    assert found.budget_change == 0


def test_a_correction_keeps_a_callback():
    found = change(a_told_failure(), verdict=COMPLETED, task=a_task(TaskKind.CALLBACK, from_attempt="a0"))
    assert (found.cancels_retry, found.event.next_at) == (False, TOMORROW)


def test_a_correction_plans_no_retry():
    told = a_told_failure(verdict_type=AbtType.PARTIALLY_COMPLETED, verdict_digest="another")
    found = change(told, verdict=NO_ANSWER)
    assert (found.retry_due_at, found.event.is_final) == (None, True)


@pytest.mark.parametrize("verdict", [UNKNOWN, LOST])
def test_a_verdict_without_facts_corrects_nothing(verdict):
    brought_back = a_told_failure(verdict_digest=None)
    found = change(brought_back, verdict=verdict, occasion=GIVEN_UP)
    digest = f"voice_ai_call_failed:{verdict.reason}:"
    assert found == VerdictChange("voice_ai_call_failed", OWN_EVENT, digest)


@pytest.mark.parametrize(("decides", "is_final"), [(True, False), (False, True)])
def test_a_late_verdict_ends_the_call_only_if_no_later_attempt_will(decides, is_final):
    moved_on = a_call(attempts_made=2, status=CallStatus.IN_PROGRESS)
    outcome = decided(a_told_failure(), moved_on, PARTIALLY, later_attempt_decides=decides)
    assert outcome.change.event.is_final is is_final
    assert outcome.status is (CallStatus.PARTIALLY_COMPLETED if is_final else CallStatus.IN_PROGRESS)


def test_a_late_verdict_plans_no_retry():
    late = change(an_attempt(), a_call(attempts_made=2), NO_ANSWER, later_attempt_decides=True)
    assert (late.retry_due_at, late.event.is_final) == (None, False)


@pytest.mark.parametrize(("verdict", "status"), [(NO_ANSWER, CallStatus.CANCELLED), (COMPLETED, CallStatus.COMPLETED)])
def test_a_cancelled_call_is_cancelled_unless_its_attempt_succeeds(verdict, status):
    assert decided(a_talk(), a_call(no_more_retries="cancelled"), verdict).status is status


def test_a_rejected_dial_ends_the_call_and_lets_go_of_the_person():
    rejected = an_attempt(AttemptState.REJECTED, placed_at=None)
    outcome = decided(rejected, verdict=REFUSED, occasion=GIVEN_UP)
    assert outcome.change.event == TerminalEvent(OWN_EVENT, REFUSED, None, is_final=True)
    assert (outcome.holds_slot, outcome.holds_person, outcome.next_check_at) == (False, False, None)
    assert outcome.status is CallStatus.FAILED


# The start.


@pytest.mark.parametrize(
    ("facts", "verdict", "occasion", "is_emitted"),
    [
        ({}, None, Occasion(NOW), True),
        ({"started_at": None}, None, Occasion(NOW), False),
        ({"started_at": None}, None, Occasion(NOW, was_polled=True), True),
        ({"started_at": None}, COMPLETED, Occasion(NOW), True),
        ({"started_event": True}, COMPLETED, Occasion(NOW), False),
        ({"connected": False}, NO_ANSWER, Occasion(NOW), False),
        ({"connected": None}, None, Occasion(NOW, was_polled=True), False),
        ({}, LOST, GIVEN_UP, False),
    ],
)
def test_a_start_is_told_once_it_is_known_when_it_was(facts, verdict, occasion, is_emitted):
    attempt = a_talk(AttemptState.ONGOING, **{"started_event": False, **facts})
    assert decided(attempt, verdict=verdict, occasion=occasion).emits_started is is_emitted


def test_a_start_whose_time_is_not_known_is_asked_about_at_once():
    attempt = a_talk(AttemptState.ONGOING, started_at=None, started_event=False)
    assert decided(attempt).next_check_at == NOW


# The slot, the person, and the next check.


@pytest.mark.parametrize("state", sorted(AWAITING_VERDICT - {AttemptState.DIALING, AttemptState.UNKNOWN}))
def test_a_slot_is_used_until_the_end_of_the_call(state):
    assert decided(a_talk(state)).holds_slot is (state in USES_SLOT)
    assert not decided(a_talk(state), verdict=LOST, occasion=GIVEN_UP).holds_slot


def test_an_ended_talk_holds_the_person_until_its_analysis_is_overdue():
    before, after = ENDED_AT + timedelta(seconds=299), ENDED_AT + timedelta(seconds=300)
    assert decided(a_talk(AttemptState.ENDED), occasion=Occasion(before)).holds_person
    assert not decided(a_talk(AttemptState.ENDED), occasion=Occasion(after)).holds_person


def test_an_end_without_a_time_is_taken_to_be_that_of_the_longest_call():
    attempt = a_talk(AttemptState.ENDED, ended_at=None)
    before, after = (PLACED_AT + timedelta(seconds=3600 + s) for s in (299, 300))
    assert decided(attempt, occasion=Occasion(before)).holds_person
    assert not decided(attempt, occasion=Occasion(after)).holds_person


@pytest.mark.parametrize("state", [AttemptState.ONGOING, AttemptState.ENDED])
def test_a_person_who_was_let_go_is_not_held_again(state):
    assert not decided(a_talk(state, holds_person=False)).holds_person


@pytest.mark.parametrize(
    ("attempt", "was_polled", "check_in_s"),
    [
        (an_attempt(AttemptState.PLACED), False, 180),
        (a_talk(AttemptState.ONGOING), False, 3600),
        (a_talk(AttemptState.ONGOING), True, 180),
        (an_attempt(AttemptState.ENDED, connected=False, dial=DialFact.BUSY), False, 20),
        (a_talk(AttemptState.ENDED), False, 295),
    ],
)
def test_an_attempt_without_a_verdict_is_checked_again(attempt, was_polled, check_in_s):
    outcome = decided(attempt, occasion=Occasion(NOW, was_polled=was_polled))
    assert outcome.next_check_at == NOW + timedelta(seconds=check_in_s)


# The call's status.


@pytest.mark.parametrize("state", sorted(SHOWN_AS_STATUS - {AttemptState.DIALING, AttemptState.UNKNOWN}))
def test_an_attempt_without_a_verdict_gives_the_call_its_status(state):
    assert decided(an_attempt(state)).status is STATUS_BY_STATE[state]


def test_the_states_that_show_as_a_status_are_those_that_the_expiry_waits_for():
    assert STATUS_BY_STATE.keys() == SHOWN_AS_STATUS


def test_a_late_report_of_an_earlier_attempt_leaves_the_status_alone():
    moved_on = a_call(attempts_made=2, status=CallStatus.UNKNOWN)
    assert decided(a_talk(AttemptState.ENDED), moved_on).status is CallStatus.UNKNOWN
