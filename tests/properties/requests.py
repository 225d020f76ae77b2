"""A call with one task, and the facts about a person that no rule defers."""

from datetime import datetime, timedelta

from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, RetryPolicy, Task, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import Candidate, DialPolicy, PersonFacts

NOTHING_KNOWN = PersonFacts(
    suppressed=False,
    held_by_attempt=None,
    attempts_last_day=0,
    oldest_attempt_in_day=None,
    last_attempt_at=None,
    clock_skew_s=0.0,
)


def policy(hours: CallingHours, lease_s: float = 60.0) -> DialPolicy:
    return DialPolicy(
        countries=frozenset({"US"}),
        calling_hours=hours,
        max_live_calls=1,
        calls_per_second=1,
        attempts_per_day=3,
        attempt_gap_s=900,
        lease_s=lease_s,
    )


def call(at: datetime, expires_at: datetime | None = None, retry: RetryPolicy | None = None) -> Call:
    return Call(
        call_id="call-1",
        contact_id="crm-42",
        phone="+14155550100",
        agent_id="agent_demo",
        from_number="+14155550199",
        variables={},
        metadata={},
        retry=retry or RetryPolicy(),
        accepted_at=at,
        expires_at=expires_at or at + timedelta(days=30),
        expiry_is_explicit=expires_at is not None,
    )


def task(due_at: datetime, local_time: str | None = None, time_zone: str | None = None) -> Task:
    kind = TaskKind.FIRST if local_time is None else TaskKind.CALLBACK
    return Task("task-1", "call-1", kind, due_at, local_time=local_time, time_zone=time_zone)


def placed(at: datetime, number: int) -> Attempt:
    found = Attempt("attempt-1", "call-1", "crm-42", "+14155550100", number, "task-1", {}, AttemptState.ENDED)
    found.placed_at = at
    return found


def candidate(due_at: datetime, zones: tuple[str, ...]) -> Candidate:
    return Candidate(call(due_at), task(due_at), zones, "US", None, is_new_attempt=True)
