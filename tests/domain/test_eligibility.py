"""Each rule of the eligibility check alone: when it defers, until when, and what it denies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.abt_event import FailReason
from ringback.domain.call import Call, RetryPolicy, Task, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import (
    Candidate,
    CapacityFacts,
    DialPolicy,
    EligibilityDecision,
    EligibilityVerdict,
    PersonFacts,
    defer_for_capacity,
    defer_for_person,
    deny,
)
from ringback.domain.phone_number import NumberType
from tests.properties.requests import NOTHING_KNOWN

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)  # a Tuesday, noon in New York
DAY = timedelta(hours=24)
POLICY = DialPolicy(
    countries=frozenset({"US"}),
    calling_hours=CallingHours.parse("mon-sat 09:00-20:00"),
    max_live_calls=20,
    calls_per_second=2,
    attempts_per_day=3,
    attempt_gap_s=900,
    lease_s=60,
)
ALL_FREE = CapacityFacts(paused=False, breaker_until=None, live=0, started_last_second=0)


def candidate(
    kind: TaskKind = TaskKind.FIRST,
    *,
    is_new: bool = True,
    region: str | None = "US",
    number_type: NumberType | None = None,
    **call,
) -> Candidate:
    retry = call.pop("retry", RetryPolicy())
    zones = call.pop("zones", ("America/New_York",))
    asked = Call(
        "call-1", "crm-1", "+14155550100", "agent_1", "+14155550199", {}, {}, retry, NOW, NOW + 7 * DAY, False, **call
    )
    return Candidate(asked, Task("task-1", "call-1", kind, NOW), zones, region, number_type, is_new)


def ends(asked: Candidate, person: PersonFacts = NOTHING_KNOWN, now: datetime = NOW) -> EligibilityDecision | None:
    return deny(asked, person, POLICY, now)


def waits(person: PersonFacts = NOTHING_KNOWN, asked: Candidate | None = None, now: datetime = NOW):
    return defer_for_person(asked or candidate(), person, POLICY, now)


def has_room(facts: CapacityFacts) -> EligibilityDecision | None:
    return defer_for_capacity(facts, POLICY, NOW)


def test_nothing_against_it_admits():
    assert ends(candidate()) is None
    assert waits() is None
    assert has_room(ALL_FREE) is None


@pytest.mark.parametrize(("late_s", "is_over"), [(-0.001, False), (0, True), (1, True)])
def test_a_call_ends_at_its_expiry_to_the_instant(late_s, is_over):
    asked = candidate()
    decision = ends(asked, now=asked.call.expires_at + timedelta(seconds=late_s))
    assert (decision is not None) is is_over
    if decision:
        assert (decision.verdict, decision.reason) == (EligibilityVerdict.DENY, FailReason.EXPIRED)


def test_a_suppressed_person_ends_the_call_and_a_callback_too():
    suppressed = replace(NOTHING_KNOWN, suppressed=True)
    for kind in TaskKind:
        decision = ends(candidate(kind), suppressed)
        assert decision is not None
        assert decision.reason is FailReason.SUPPRESSED


def test_a_suppressed_person_ends_a_waiting_attempt_too():
    decision = ends(candidate(is_new=False), replace(NOTHING_KNOWN, suppressed=True))
    assert decision is not None
    assert decision.reason is FailReason.SUPPRESSED


@pytest.mark.parametrize("region", ["GB", None])
def test_a_country_that_is_not_allowed_ends_the_call(region):
    decision = ends(candidate(region=region))
    assert decision is not None
    assert decision.reason is FailReason.COUNTRY_NOT_ALLOWED


def test_a_kind_of_number_that_is_not_allowed_ends_the_call_and_a_callback_too():
    for kind in TaskKind:
        decision = ends(candidate(kind, number_type=NumberType.PREMIUM))
        assert decision is not None
        assert (decision.rule, decision.reason) == ("number_type_not_allowed", FailReason.NUMBER_TYPE_NOT_ALLOWED)


def test_only_the_kinds_that_are_allowed_pass():
    policy = replace(POLICY, number_types=frozenset({NumberType.TOLL_FREE}))
    for number_type in NumberType:
        asked = candidate(number_type=number_type)
        is_refused = deny(asked, NOTHING_KNOWN, policy, NOW) is not None
        assert is_refused == (number_type is not NumberType.TOLL_FREE)


def test_no_retry_follows_a_stop_but_a_callback_the_person_asked_for_does():
    for reason in ("opt_out", "suppressed", "cancelled"):
        decision = ends(candidate(TaskKind.RETRY, no_more_retries=reason))
        assert decision is not None
        assert decision.rule == "no_more_retries"
    assert ends(candidate(TaskKind.CALLBACK, no_more_retries="expired")) is None


def test_after_a_cancellation_not_even_a_callback_follows():
    decision = ends(candidate(TaskKind.CALLBACK, no_more_retries="cancelled"))
    assert decision is not None
    assert decision.reason is FailReason.CANCELLED


def test_a_retry_beyond_the_budget_is_not_made():
    spent = {"budget_used": 2, "retry": RetryPolicy(max_attempts=2)}
    decision = ends(candidate(TaskKind.RETRY, **spent))
    assert decision is not None
    assert decision.rule == "budget_spent"
    assert ends(candidate(TaskKind.RETRY, budget_used=1, retry=RetryPolicy(max_attempts=2))) is None


def test_a_waiting_attempt_and_a_callback_need_no_budget():
    spent = {"budget_used": 2, "retry": RetryPolicy(max_attempts=2)}
    assert ends(candidate(TaskKind.RETRY, is_new=False, **spent)) is None
    assert ends(candidate(TaskKind.CALLBACK, **spent)) is None


def test_a_clock_more_than_two_seconds_off_waits():
    assert waits(replace(NOTHING_KNOWN, clock_skew_s=2.0)) is None
    decision = waits(replace(NOTHING_KNOWN, clock_skew_s=2.1))
    assert decision is not None
    assert (decision.rule, decision.until) == ("clock_skew", NOW + timedelta(seconds=2.9))


def test_a_person_on_another_attempt_waits_a_quarter_of_a_minute():
    decision = waits(replace(NOTHING_KNOWN, held_by_attempt="attempt-9"))
    assert decision is not None
    assert (decision.rule, decision.until) == ("person_on_another_attempt", NOW + timedelta(seconds=15))


@pytest.mark.parametrize(
    ("local_utc", "opens_utc"),
    [
        ("2026-12-01T13:59", "2026-12-01T14:00"),  # 08:59 in New York
        ("2026-12-02T01:00", "2026-12-02T14:00"),  # 20:00, the window's end
        ("2026-12-06T17:00", "2026-12-07T14:00"),  # a Sunday
        ("2026-12-06T00:59:30", "2026-12-07T14:00"),  # Saturday 19:59:30: it closes within the lease
    ],
)
def test_outside_calling_hours_waits_for_the_next_opening(local_utc, opens_utc):
    now, opens = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (local_utc, opens_utc))
    for kind in TaskKind:  # a callback is not exempt
        decision = waits(asked=candidate(kind), now=now)
        assert decision is not None
        assert (decision.rule, decision.until) == ("outside_calling_hours", opens)


def test_open_for_exactly_a_lease_longer_is_open():
    closes = datetime(2026, 12, 2, 1, 0, tzinfo=UTC)
    assert waits(now=closes - timedelta(seconds=60)) is None
    assert waits(now=closes - timedelta(seconds=59)) is not None


def test_an_unknown_zone_is_never_called_on_a_guess():
    decision = waits(asked=candidate(zones=()))
    assert decision is not None
    assert (decision.rule, decision.until) == ("outside_calling_hours", NOW + DAY)


def test_every_zone_of_the_number_must_be_open():
    # 18:00 in New York is fine, 12:00 in Honolulu too; 13:30 UTC is 08:30 in New York.
    zones = ("America/New_York", "Pacific/Honolulu")
    decision = waits(asked=candidate(zones=zones), now=datetime(2026, 12, 1, 17, 0, tzinfo=UTC))
    assert decision is not None
    assert decision.until == datetime(2026, 12, 1, 19, 0, tzinfo=UTC)  # 09:00 in Honolulu


def test_the_daily_cap_waits_until_the_oldest_call_is_a_day_old():
    oldest = NOW - timedelta(hours=20)
    called = replace(NOTHING_KNOWN, attempts_last_day=3, oldest_attempt_in_day=oldest, last_attempt_at=oldest)
    decision = waits(called)
    assert decision is not None
    assert (decision.rule, decision.until) == ("attempts_per_day", oldest + DAY)
    assert waits(replace(called, attempts_last_day=2)) is None


def test_the_gap_is_counted_from_the_last_call():
    last = NOW - timedelta(seconds=899)
    called = replace(NOTHING_KNOWN, attempts_last_day=1, oldest_attempt_in_day=last, last_attempt_at=last)
    decision = waits(called)
    assert decision is not None
    assert (decision.rule, decision.until) == ("attempt_gap", NOW + timedelta(seconds=1))
    assert waits(called, now=NOW + timedelta(seconds=1)) is None


def test_a_callback_is_exempt_from_cap_and_gap_but_not_from_another_attempt():
    called = replace(NOTHING_KNOWN, attempts_last_day=9, oldest_attempt_in_day=NOW, last_attempt_at=NOW)
    assert waits(called, candidate(TaskKind.CALLBACK)) is None
    held = replace(called, held_by_attempt="attempt-9")
    assert waits(held, candidate(TaskKind.CALLBACK)) is not None


def test_zero_means_no_limit():
    policy = replace(POLICY, attempts_per_day=0, attempt_gap_s=0)
    called = replace(NOTHING_KNOWN, attempts_last_day=99, oldest_attempt_in_day=NOW, last_attempt_at=NOW)
    assert defer_for_person(candidate(), called, policy, NOW) is None


@pytest.mark.parametrize(
    ("facts", "rule", "wait_s"),
    [
        ({"paused": True}, "paused", 5),
        ({"breaker_until": NOW + timedelta(seconds=30)}, "account_breaker", 30),
        ({"live": 20}, "no_free_slot", 1),
        ({"started_last_second": 2}, "start_rate", 1),
    ],
)
def test_the_installation_may_have_to_wait(facts, rule, wait_s):
    decision = has_room(replace(ALL_FREE, **facts))
    assert decision is not None
    assert (decision.verdict, decision.rule) == (EligibilityVerdict.DEFER, rule)
    assert decision.until == NOW + timedelta(seconds=wait_s)


def test_a_breaker_whose_time_is_over_lets_a_probe_through():
    assert has_room(replace(ALL_FREE, breaker_until=NOW)) is None
    assert has_room(replace(ALL_FREE, live=19, started_last_second=1)) is None
