"""A retry is promised only where it could still be dialed."""

from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, RetryPolicy
from ringback.domain.eligibility import DialPolicy
from ringback.domain.outcome import Verdict
from ringback.domain.retrying import next_attempt_at
from ringback.domain.schedule import CallingHours

PLACED_AT = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
NO_ANSWER = Verdict(AbtType.FAILED, FailReason.NO_ANSWER)
CAPACITY = Verdict(AbtType.FAILED, FailReason.CAPACITY)
POLICY = DialPolicy(frozenset({"US"}), CallingHours(), 20, 1, 0, 0, 60)


def promised(verdict: Verdict, expires_in_s: int) -> datetime | None:
    retry, expires_at = RetryPolicy(2, (600,)), PLACED_AT + timedelta(seconds=expires_in_s)
    call = Call("c", "crm", "+14155550100", "a", "+14155550199", {}, {}, retry, PLACED_AT, expires_at, True)
    call.budget_used = 1
    attempt = Attempt("a1", "c", "crm", call.phone, 1, "t", {}, AttemptState.ENDED, placed_at=PLACED_AT)
    return next_attempt_at(call, attempt, verdict, POLICY, ("America/Los_Angeles",))


@pytest.mark.parametrize(("verdict", "delay_s"), [(NO_ANSWER, 600), (CAPACITY, 60)])
def test_a_retry_due_at_the_very_expiry_is_not_promised_and_a_second_before_it_is(verdict, delay_s):
    assert promised(verdict, delay_s) is None
    assert promised(verdict, delay_s + 1) == PLACED_AT + timedelta(seconds=delay_s)
