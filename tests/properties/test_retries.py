"""A promised retry is inside the hours, before the call's expiry, and always the same."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.call import RetryPolicy
from ringback.domain.outcome import Verdict, next_attempt_at

from .depth import checked
from .places import places
from .policies import calendars
from .requests import call, placed
from .requests import policy as rules

LEASE = timedelta(seconds=60)
REASONS = st.sampled_from([FailReason.NO_ANSWER, FailReason.BUSY, FailReason.CAPACITY])


@checked(25)
@given(st.data())
def test_a_retry_is_the_earliest_open_minute_after_its_delay_and_never_at_or_after_the_expiry(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    delays = tuple(data.draw(st.lists(st.integers(60, 3 * 86400), min_size=1, max_size=4)))
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
        next_attempt_at(asked, attempt, Verdict(AbtType.FAILED, reason), rules(calendar.hours), order)
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
    assert next_attempt_at(cancelled, attempt, Verdict(AbtType.FAILED, FailReason.BUSY), rules(hours), zones) is None
    no_answer = Verdict(AbtType.FAILED, FailReason.NO_ANSWER)
    assert next_attempt_at(call(at, retry=policy), attempt, no_answer, rules(hours), zones) is None
    assert next_attempt_at(call(at, retry=policy), attempt, Verdict(AbtType.COMPLETED), rules(hours), zones) is None
