"""All that the gate would read about one person, as it stands: for an explanation, never for a claim."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.attempt import NEVER_RANG, Attempt, AttemptState
from ringback.domain.call import Call, Contact, Task
from ringback.domain.eligibility import DAY, CapacityFacts, PersonFacts


@dataclass(frozen=True, slots=True)
class OpenCall:
    """An unfinished call. `task` is None while an attempt decides what follows; `own` is the attempt that the task
    would dial (again)."""

    call: Call
    task: Task | None
    contact: Contact
    own: Attempt | None


@dataclass(frozen=True, slots=True)
class SuppressionInForce:
    """`phones` and `contact_ids` are those of the person that it covers."""

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
    """A call from a person to us that has not ended; `until` is the latest end of its hold."""

    contact_id: str
    phone: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ContactSnapshot:
    """`decisions` are the gate's and the protocol's last ones, the newest first, each {at, call_id, attempt_id, kind,
    detail}."""

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
        """What the gate would be told at `at`, now or later, if nothing happened until then."""
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
