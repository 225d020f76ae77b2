"""A call is one durable intent to reach one contact. A task says when its next attempt is due."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.contact import ERASED

DEFAULT_LIFETIME = timedelta(days=7)
MAX_RESCHEDULES = 3


class CallStatus(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    DIALING = "dialing"
    UNKNOWN = "unknown"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    LEFT_VOICEMAIL = "left_voicemail"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


class TaskKind(StrEnum):
    FIRST = "first"
    RETRY = "retry"
    CALLBACK = "callback"


class TaskStatus(StrEnum):
    PENDING = "pending"
    HELD = "held"
    DISPATCHED = "dispatched"
    CONSUMED = "consumed"
    DELETED = "deleted"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


#: The status of a call whose latest attempt has no verdict.
STATUS_BY_STATE = {
    AttemptState.DIALING: CallStatus.DIALING,
    AttemptState.PLACED: CallStatus.DIALING,
    AttemptState.UNKNOWN: CallStatus.UNKNOWN,
    AttemptState.ONGOING: CallStatus.IN_PROGRESS,
    AttemptState.ENDED: CallStatus.IN_PROGRESS,
}

OPEN_TASK = frozenset({TaskStatus.PENDING, TaskStatus.HELD, TaskStatus.DISPATCHED})


class RetryOutcome(StrEnum):
    """The ends of an attempt that a retry policy may name. Every other end is never retried by it."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"  # with or without a message


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Rules for another attempt. `max_attempts` is the budget of the whole call, for all outcomes together.

    `rules` has the delays of each outcome. Where it is given, `delay_s` and `on` say nothing. Delays are seconds since
    `placed_at`, and the last one repeats.
    """

    max_attempts: int = 1
    delay_s: tuple[int, ...] = (3600,)
    on: frozenset[str] = frozenset({RetryOutcome.NO_ANSWER, RetryOutcome.BUSY})
    rules: Mapping[str, tuple[int, ...]] | None = None

    def retries(self, outcome: RetryOutcome | None) -> bool:
        return outcome in (self.on if self.rules is None else self.rules)

    def delay_after(self, outcome: RetryOutcome | None, attempts: int, times: int) -> timedelta | None:
        """The pause after this outcome. None: it is not retried, or the budget is used.

        `attempts` counts all attempts of the call that use the budget, `times` those that ended like this one. Both
        include this one: `delay_s` is used in the order of the attempts, a rule in the order of its own outcome.
        """
        if outcome is None or not self.retries(outcome) or attempts >= self.max_attempts:
            return None
        delays, used = (self.delay_s, attempts) if self.rules is None else (self.rules[outcome], times)
        return timedelta(seconds=delays[min(max(used, 1), len(delays)) - 1])


@dataclass(slots=True)
class Call:
    call_id: str
    contact_id: str
    phone: str  # frozen: the number this call was accepted for
    agent_id: str
    from_number: str
    variables: dict[str, str]
    metadata: dict[str, Any]
    retry: RetryPolicy
    accepted_at: datetime
    expires_at: datetime
    expiry_is_explicit: bool
    status: CallStatus = CallStatus.SCHEDULED
    final: bool = False
    sequence: int = 0  # of the last ABT event
    budget_used: int = 0  # attempts that count against retry.max_attempts
    attempts_made: int = 0  # the number of the last attempt
    reschedules: int = 0
    # The reason why no retry may follow: an opt-out, or a cancellation while it rang.
    no_more_retries: str | None = None
    closing_event_id: str | None = None  # the uncorrected event that carried is_final: true
    reason: str | None = None  # of the last `failed` event
    counted: dict[str, Any] | None = None  # what it adds to the statistics

    @property
    def is_erased(self) -> bool:
        """Whether the person of this call was erased. Nothing may be added to such a call."""
        return self.phone == ERASED


@dataclass(slots=True)
class Task:
    task_id: str
    call_id: str
    kind: TaskKind
    due_at: datetime
    status: TaskStatus = TaskStatus.PENDING
    dispatch: int = 0  # incremented by every release; a message consumes exactly one dispatch
    dispatched_at: datetime | None = None
    redispatches: int = 0  # of this release; a message that is lost again and again is in the dead letters
    local_time: str | None = None  # a wall-clock task keeps this local time when the zone changes
    time_zone: str | None = None
    source: str | None = None  # of a callback: agent, api, timezone
    reason: str | None = None
    from_attempt: str | None = None  # the attempt during which the agent promised this callback
    created_at: datetime | None = None
    due_before_hold: datetime | None = (
        None  # set while an inbound call holds the task; `due_at` is then the end of the hold
    )

    @property
    def planned_at(self) -> datetime:
        """The due time without any hold."""
        return self.due_before_hold or self.due_at


def status_of(call: Call, state: AttemptState | None, *, has_task: bool) -> CallStatus:
    """Derive the status of a call from its end, its latest attempt and its open task.

    `state` is None if the latest attempt has its verdict. A scheduled call whose task is dispatched is shown as queued.
    """
    if call.final:
        return call.status
    if state in STATUS_BY_STATE:
        return STATUS_BY_STATE[state]
    return CallStatus.SCHEDULED if has_task else call.status


def update_status(call: Call, task: Task | None, attempt: Attempt | None) -> None:
    """Set the status by the call's open task and its latest attempt."""
    state = attempt.state if attempt is not None and attempt.verdict_type is None else None
    call.status = status_of(call, state, has_task=task is not None)


def close(call: Call, status: CallStatus, closing_event_id: str) -> None:
    """End the call with its one uncorrected final event."""
    assert call.closing_event_id is None, "a call has one uncorrected final event"
    call.status = status
    call.final = True
    call.closing_event_id = closing_event_id


@dataclass(slots=True)
class InboundCall:
    """A call from a contact. While it lasts, no process dials that contact.

    Times are UTC. `released_at` ends the hold. Without it the hold ends at `hold_until`.
    """

    inbound_id: str
    provider_call_id: str | None  # often unknown while it rings
    phone: str  # the caller's, E.164
    to_number: str
    contact_id: str
    rang_at: datetime
    hold_until: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    disconnection_reason: str | None = None
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewCall:
    """A checked request to call a contact. Times are UTC.

    `fingerprint` identifies the request: sha256 (hex) of its parsed JSON with sorted keys.
    """

    contact_id: str
    phone: str
    time_zone: str | None
    fields: dict[str, Any]
    agent_id: str
    from_number: str
    variables: dict[str, str]
    metadata: dict[str, Any]
    not_before: datetime | None  # None: now
    expires_at: datetime | None  # None: seven days after it was accepted or due
    retry: RetryPolicy
    fingerprint: str


@dataclass(frozen=True, slots=True)
class AcceptReceipt:
    """The answer to a request. `reason` says why a call ended at once.

    `replayed`: the same answer was given before, under the same idempotency key.
    """

    call_id: str
    status: CallStatus
    next_eligible_at: datetime | None
    reason: str | None = None
    replayed: bool = False

    def as_json(self) -> dict[str, Any]:
        """The body of the 202."""
        return {
            "call_id": self.call_id,
            "status": self.status,
            "reason": self.reason,
            "next_eligible_at": iso(self.next_eligible_at),
        }


class KeyReused(Exception):
    """The idempotency key belongs to another request."""
