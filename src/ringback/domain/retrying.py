"""Whether a failed attempt is followed by another, and when: the call's own policy, one budget for the whole call."""

from datetime import datetime, timedelta

from ringback.domain.abt_event import FailReason
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call
from ringback.domain.eligibility import DialPolicy
from ringback.domain.outcome import Verdict

#: Pauses before another try after the provider had no capacity for an accepted call: doubling from one minute.
CAPACITY_FIRST_DELAY_S = 60
CAPACITY_LONGEST_DELAY_S = 3600


def next_attempt_at(
    call: Call, attempt: Attempt, verdict: Verdict, policy: DialPolicy, zones: tuple[str, ...]
) -> datetime | None:
    """When the next attempt is due, None if there is to be none. Counted from `placed_at`, never from the time a
    message arrived, so that every order of webhooks promises the same moment."""
    if not verdict.is_failure or verdict.reason is None or call.no_more_retries:
        return None
    assert attempt.placed_at is not None, "a verdict follows a placed attempt"
    if verdict.reason is FailReason.CAPACITY:
        doubled = CAPACITY_FIRST_DELAY_S * 2 ** min(attempt.number - 1, 10)
        due_at = attempt.placed_at + timedelta(seconds=min(doubled, CAPACITY_LONGEST_DELAY_S))
    elif verdict.reason in call.retry.on and call.budget_used < call.retry.max_attempts:
        # By the budget, not by the attempt's number: a try for which the provider had no room took no delay.
        due_at = attempt.placed_at + call.retry.delay_after(max(call.budget_used, 1))
    else:
        return None
    opens_at = policy.opens_at(due_at, zones)
    return opens_at if opens_at is not None and opens_at < call.expires_at else None
