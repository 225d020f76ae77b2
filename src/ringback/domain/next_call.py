"""When a person may be called next, and what decides it: the gate's own rules, asked about the future."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.contact_snapshot import ContactSnapshot
from ringback.domain.eligibility import (
    Candidate,
    DialPolicy,
    EligibilityDecision,
    defer_for_capacity,
    defer_for_person,
    deny,
)

#: Nobody can say when these end, so no time is promised.
OPEN_ENDED = frozenset({"paused", "person_on_another_attempt", "person_on_inbound_call"})
#: Each wait ends at a later time than the one before; a policy that needs more of them is never open in practice.
MAX_WAITS = 50

DUE = "due_at"
NOW = "admitted"
NEVER_OPEN = "calling_hours_never_open"


@dataclass(frozen=True, slots=True)
class NextCall:
    """`at` is None when no time can be promised. `because` is the rule that decides: one of the gate's, `due_at` for a
    task that is simply not due, `admitted` for now. `waits` are the rules that move it, in order."""

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
    asked: Candidate, own_attempt: str | None, file: ContactSnapshot, policy: DialPolicy, now: datetime
) -> NextCall:
    """Supposes that nothing else happens until then. A task that is held counts from when it was meant to be due: what
    holds it is a refusal of the gate's."""
    at = max(now, asked.task.planned_at)
    because = NOW if at == now else DUE
    waits: list[EligibilityDecision] = []
    for _ in range(MAX_WAITS):
        decision = _first_refusal(asked, own_attempt, file, policy, (now, at))
        if decision is None:
            return NextCall(at, because, tuple(waits))
        if decision.until is None or decision.rule in OPEN_ENDED:
            return NextCall(None, decision.rule, tuple(waits))
        if policy.calling_hours.next_open(at, asked.zones) is None:
            return NextCall(None, NEVER_OPEN, tuple(waits))
        waits.append(decision)
        at, because = decision.until, decision.rule
    return NextCall(None, because, tuple(waits))


def _first_refusal(
    asked: Candidate,
    own_attempt: str | None,
    file: ContactSnapshot,
    policy: DialPolicy,
    moments: tuple[datetime, datetime],
) -> EligibilityDecision | None:
    """The gate in its own order, at the second of `moments` as seen from the first."""
    now, at = moments
    person = file.facts(asked.call.phone, asked.call.contact_id, own_attempt, at)
    # Who holds a slot, or starts a call, is known for this moment only.
    capacity = file.capacity if at == now else replace(file.capacity, live=0, started_last_second=0)
    return (
        deny(asked, person, policy, at)
        or defer_for_person(asked, person, policy, at)
        or defer_for_capacity(capacity, policy, at)
    )
