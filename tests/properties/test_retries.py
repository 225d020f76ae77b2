"""A promised retry lies inside the hours, before the call's expiry, and is the same whoever works it out."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.call import RetryPolicy
from ringback.domain.outcome import Verdict
from ringback.domain.retrying import next_attempt_at

from .depth import checked
from .places import places
from .policies import calendars
from .requests import call, placed

REASONS = st.sampled_from([FailReason.NO_ANSWER, FailReason.BUSY, FailReason.CAPACITY])


@checked(35)
@given(st.data())
def test_a_retry_is_the_earliest_open_minute_after_its_delay_and_never_at_or_after_the_expiry(data):
    at, zones = data.draw(places())
    calendar = data.draw(calendars(at))
    delays = tuple(data.draw(st.lists(st.integers(60, 3 * 86400), min_size=1, max_size=4)))
    policy = RetryPolicy(max_attempts=data.draw(st.integers(1, 6)), delay_s=delays)
    asked = call(at, at + timedelta(seconds=data.draw(st.integers(60, 12 * 86400))), policy)
    asked.budget_used = data.draw(st.integers(0, 6))
    attempt, reason = placed(at, data.draw(st.integers(1, 14))), data.draw(REASONS)
    verdict = Verdict(AbtType.FAILED, reason)

    found = next_attempt_at(asked, attempt, verdict, calendar.hours, zones)

    assert found == next_attempt_at(asked, attempt, verdict, calendar.hours, tuple(reversed(zones)))
    if reason is FailReason.CAPACITY:
        delay_s = min(60 * 2 ** (attempt.number - 1), 3600)
    elif asked.budget_used >= policy.max_attempts:
        assert found is None
        return
    else:
        delay_s = (*delays, *[delays[-1]] * 20)[max(asked.budget_used - 1, 0)]
    due_at = at + timedelta(seconds=delay_s)
    expected = calendar.first_open(due_at, zones) if due_at < asked.expires_at else None
    assert found == (expected if expected is not None and expected < asked.expires_at else None)


@checked(20)
@given(st.data())
def test_nothing_is_retried_that_was_cancelled_or_whose_reason_the_call_did_not_name(data):
    at, zones = data.draw(places())
    hours, attempt = data.draw(calendars(at)).hours, placed(at, 1)
    policy = RetryPolicy(max_attempts=5, on=frozenset({"busy"}))
    cancelled = call(at, retry=policy)
    cancelled.no_more_retries = FailReason.CANCELLED
    assert next_attempt_at(cancelled, attempt, Verdict(AbtType.FAILED, FailReason.BUSY), hours, zones) is None
    no_answer = Verdict(AbtType.FAILED, FailReason.NO_ANSWER)
    assert next_attempt_at(call(at, retry=policy), attempt, no_answer, hours, zones) is None
    assert next_attempt_at(call(at, retry=policy), attempt, Verdict(AbtType.COMPLETED), hours, zones) is None
