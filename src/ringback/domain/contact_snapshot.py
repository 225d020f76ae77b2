"""The facts of the eligibility check about one person, and the time of their next call.

An explanation reads them without locks. A claim never does.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.attempt import NEVER_RANG, Attempt, AttemptState
from ringback.domain.call import Call, Task
from ringback.domain.contact import Contact
from ringback.domain.eligibility import (
    DAY,
    Candidate,
    CapacityFacts,
    DialPolicy,
    EligibilityDecision,
    PersonFacts,
    defer_for_capacity,
    defer_for_person,
    deny,
)


@dataclass(frozen=True, slots=True)
class OpenCall:
    """An unfinished call. `task` is None while an attempt decides what follows.

    `own` is the attempt that the task would dial (again).
    """

    call: Call
    task: Task | None
    contact: Contact
    own: Attempt | None


@dataclass(frozen=True, slots=True)
class SuppressionInForce:
    """A suppression, with the phones and contacts of the person that it covers."""

    suppression_id: str
    reason: str
    source: str
    created_at: datetime
    phones: frozenset[str]
    contact_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt of the last 24 h, the last one to a phone or contact, or one that still holds the person."""

    attempt_id: str
    call_id: str
    contact_id: str
    phone: str
    number: int
    state: AttemptState
    sent_at: datetime | None
    ended_at: datetime | None
    disconnection_reason: str | None
    holds_person: bool


@dataclass(frozen=True, slots=True)
class InboundHold:
    """A call from the person that has not ended. `until` is the latest end of its hold."""

    contact_id: str
    phone: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ContactSnapshot:
    """Everything known of one person at one moment.

    `decisions` are the last ones of the eligibility check and the protocol, the newest first. Each is {at, call_id,
    attempt_id, kind, detail}.
    """

    contacts: tuple[Contact, ...]
    suppressions: tuple[SuppressionInForce, ...]
    open_calls: tuple[OpenCall, ...]
    attempts: tuple[PastAttempt, ...]
    decisions: tuple[dict[str, Any], ...]
    capacity: CapacityFacts
    pause_reason: str | None
    inbound_holds: tuple[InboundHold, ...]

    def is_suppressed(self, phone: str, contact_id: str) -> bool:
        return any(phone in one.phones or contact_id in one.contact_ids for one in self.suppressions)

    def facts(self, phone: str, contact_id: str, own_attempt: str | None, at: datetime) -> PersonFacts:
        """The facts for the eligibility check at `at`, now or later, if nothing happens until then."""
        others = [
            one
            for one in self.attempts
            if (one.phone == phone or one.contact_id == contact_id) and one.attempt_id != own_attempt
        ]
        sent = [one.sent_at for one in others if one.sent_at is not None and one.state not in NEVER_RANG]
        in_day = [moment for moment in sent if moment > at - DAY]
        holds = [one.until for one in self.inbound_holds if one.phone == phone or one.contact_id == contact_id]
        return PersonFacts(
            suppressed=self.is_suppressed(phone, contact_id),
            held_by_attempt=next((one.attempt_id for one in others if one.holds_person), None),
            attempts_last_day=len(in_day),
            oldest_attempt_in_day=min(in_day, default=None),
            last_attempt_at=max(sent, default=None),
            clock_skew_s=0.0,
            on_inbound_call_until=max(holds, default=None),
        )


#: The end of these is unknown, so no time is promised.
OPEN_ENDED = frozenset({"paused", "person_on_another_attempt", "person_on_inbound_call"})
#: Each wait ends at a later time than the one before; a policy that needs more of them is never open in practice.
MAX_WAITS = 50

DUE = "due_at"
NOW = "admitted"
NEVER_OPEN = "calling_hours_never_open"


@dataclass(frozen=True, slots=True)
class NextCall:
    """The time of the next call, None if no time can be promised.

    `because` is the deciding rule: one of the eligibility check, `due_at` for a task that is not due yet, `admitted`
    for now. `waits` are the rules that move the time, in order.
    """

    at: datetime | None
    because: str
    waits: tuple[EligibilityDecision, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "next_eligible_at": iso(self.at),
            "because": self.because,
            "waits": [{"rule": wait.rule, "until": iso(wait.until)} for wait in self.waits],
        }


def next_call(
    candidate: Candidate, own_attempt: str | None, snapshot: ContactSnapshot, policy: DialPolicy, now: datetime
) -> NextCall:
    """When the candidate may be called next, if nothing else happens until then.

    A held task counts from its planned time, because the eligibility check reports the hold itself.
    """
    at = max(now, candidate.task.planned_at)
    because = NOW if at == now else DUE
    waits: list[EligibilityDecision] = []
    for _ in range(MAX_WAITS):
        person = snapshot.facts(candidate.call.phone, candidate.call.contact_id, own_attempt, at)
        # Used slots and the start rate are known for the current moment only.
        capacity = snapshot.capacity if at == now else replace(snapshot.capacity, live=0, started_last_second=0)
        decision = (
            deny(candidate, person, policy, at)
            or defer_for_person(candidate, person, policy, at)
            or defer_for_capacity(capacity, policy, at)
        )
        if decision is None:
            return NextCall(at, because, tuple(waits))
        if decision.until is None or decision.rule in OPEN_ENDED:
            return NextCall(None, decision.rule, tuple(waits))
        if policy.calling_hours.next_open(at, candidate.zones) is None:
            return NextCall(None, NEVER_OPEN, tuple(waits))
        waits.append(decision)
        at, because = decision.until, decision.rule
    return NextCall(None, because, tuple(waits))
