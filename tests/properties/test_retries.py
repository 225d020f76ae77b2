"""A promised retry is inside the hours, before the call's expiry, and always the same."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.call import RetryOutcome, RetryPolicy
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import Occasion, OutcomeInputs, Verdict, next_attempt_at

from .depth import checked
from .places import places
from .policies import calendars
from .requests import call, placed
from .requests import policy as rules

pytestmark = pytest.mark.matrix

LEASE = timedelta(seconds=60)
DEADLINES = Deadlines(180, 20, 300, 86400, 3600, (5, 30), 2700, 1800)
DELAYS = st.lists(st.integers(60, 3 * 86400), min_size=1, max_size=4).map(tuple)
VERDICTS = {
    RetryOutcome.NO_ANSWER: [Verdict(AbtType.FAILED, FailReason.NO_ANSWER)],
    RetryOutcome.BUSY: [Verdict(AbtType.FAILED, FailReason.BUSY)],
    RetryOutcome.VOICEMAIL: [
        Verdict(AbtType.LEFT_VOICEMAIL),
        Verdict(AbtType.LEFT_VOICEMAIL, analysis_missing=True),
        Verdict(AbtType.FAILED, FailReason.VOICEMAIL_NO_MESSAGE),
    ],
}
REASONS = st.sampled_from([FailReason.NO_ANSWER, FailReason.BUSY, FailReason.CAPACITY])


@checked(25)
@given(st.data())
def test_a_retry_is_the_earliest_open_minute_after_its_delay_and_never_at_or_after_the_expiry(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    delays = data.draw(DELAYS)
    policy = RetryPolicy(max_attempts=data.draw(st.integers(1, 6)), delay_s=delays)
    budget_used, attempt = data.draw(st.integers(0, 6)), placed(at, data.draw(st.integers(1, 14)))
    reason = data.draw(REASONS)
    is_capacity = reason is FailReason.CAPACITY
    by_policy_s = (*delays, *[delays[-1]] * 20)[max(budget_used - 1, 0)]
    due_at = at + timedelta(seconds=min(60 * 2 ** (attempt.number - 1), 3600) if is_capacity else by_policy_s)
    opens_at = calendar.first_open(due_at, zones, LEASE)
    expires_at = at + timedelta(seconds=data.draw(st.integers(60, 12 * 86400)))
    if opens_at is not None and data.draw(st.booleans()):
        expires_at = opens_at + timedelta(seconds=data.draw(st.sampled_from([-1, 0, 1])))
    asked = call(at, expires_at, policy)
    asked.budget_used = budget_used

    promises = [
        next_attempt_at(asked, attempt, Verdict(AbtType.FAILED, reason), inputs(at, calendar.hours, order))
        for order in (zones, zones[::-1])
    ]

    is_allowed = is_capacity or budget_used < policy.max_attempts
    expected = opens_at if is_allowed and opens_at is not None and opens_at < expires_at else None
    assert promises == [expected, expected]


@checked(20)
@given(st.data())
def test_nothing_is_retried_that_was_cancelled_or_whose_reason_the_call_did_not_name(data):
    at, zones = data.draw(places())
    hours, attempt = data.draw(calendars(at)).hours, placed(at, 1)
    policy = RetryPolicy(max_attempts=5, on=frozenset({"busy"}))
    cancelled = call(at, retry=policy)
    cancelled.no_more_retries = FailReason.CANCELLED
    given_hours = inputs(at, hours, zones)
    assert next_attempt_at(cancelled, attempt, Verdict(AbtType.FAILED, FailReason.BUSY), given_hours) is None
    no_answer = Verdict(AbtType.FAILED, FailReason.NO_ANSWER)
    assert next_attempt_at(call(at, retry=policy), attempt, no_answer, given_hours) is None
    assert next_attempt_at(call(at, retry=policy), attempt, Verdict(AbtType.COMPLETED), given_hours) is None


@checked(25)
@given(st.data())
def test_a_rule_uses_the_delays_of_its_own_outcome_within_one_budget(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    given_rules = data.draw(st.dictionaries(st.sampled_from(list(RetryOutcome)), DELAYS, min_size=1))
    policy = RetryPolicy(max_attempts=data.draw(st.integers(1, 6)), rules=given_rules)
    outcome = data.draw(st.sampled_from(list(RetryOutcome)))
    verdict = data.draw(st.sampled_from(VERDICTS[outcome]))
    budget_used = data.draw(st.integers(1, 6))
    before = data.draw(st.integers(0, budget_used - 1))
    asked = call(at, retry=policy)
    asked.budget_used = budget_used

    promised = next_attempt_at(asked, placed(at, budget_used), verdict, inputs(at, calendar.hours, zones, before))

    if outcome not in given_rules or budget_used >= policy.max_attempts:
        assert promised is None
        return
    delays = given_rules[outcome]
    due_at = at + timedelta(seconds=(*delays, *[delays[-1]] * 6)[before])
    opens_at = calendar.first_open(due_at, zones, LEASE)
    assert promised == (opens_at if opens_at is not None and opens_at < asked.expires_at else None)


@checked(20)
@given(st.data())
def test_no_rule_names_an_end_that_is_never_retried(data):
    at, zones = data.draw(places())
    every_rule = RetryPolicy(10, rules=dict.fromkeys(RetryOutcome, (60,)))
    named = {verdict.reason for verdicts in VERDICTS.values() for verdict in verdicts}
    never = [Verdict(AbtType.FAILED, reason) for reason in FailReason if reason not in {*named, FailReason.CAPACITY}]
    never += [Verdict(AbtType.COMPLETED), Verdict(AbtType.PARTIALLY_COMPLETED)]
    verdict = data.draw(st.sampled_from(never))
    hours = data.draw(calendars(at)).hours
    assert next_attempt_at(call(at, retry=every_rule), placed(at, 1), verdict, inputs(at, hours, zones)) is None


def inputs(at, hours, zones, before=0):
    return OutcomeInputs(Occasion(at), rules(hours), DEADLINES, None, zones=zones, ended_alike_before=before)
