"""Explain why a person was or was not called, and when they may be called next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.call import DEFAULT_LIFETIME, Call, RetryPolicy, Task, TaskKind, TaskStatus
from ringback.domain.contact import Contact
from ringback.domain.contact_snapshot import ContactSnapshot, NextCall, OpenCall, PastAttempt, next_call
from ringback.domain.eligibility import DAY, Candidate, DialPolicy
from ringback.domain.phone_number import NumberPlan
from ringback.domain.zone_names import candidate_zones
from ringback.ports import Clock
from ringback.storage import Views

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EligibilityExplainer:
    """The flow that explains. It only reads, takes no lock, and decides nothing."""

    views: Views
    clock: Clock
    numbers: NumberPlan
    policy: DialPolicy

    async def explain(self, *, phone: str | None, contact_id: str | None) -> Item | None:
        """Explain by phone or by contact. Returns None for an unknown contact. Every phone can be explained."""
        now = self.clock.now()
        snapshot = await self.views.contact_snapshot(phone, contact_id, now)
        if phone is None and not snapshot.contacts:
            return None
        tasks = [(one.task, self._next(one, one.task, snapshot, now)) for one in snapshot.open_calls if one.task]
        person, task = _new_call(snapshot, phone, contact_id or "", now)
        expected = [plan for _, plan in tasks] or [self._next(person, task, snapshot, now)]
        hours = self.policy.calling_hours
        zones = candidate_zones(person.contact.time_zone, self.numbers.time_zones(person.call.phone))
        first = min(expected, key=lambda plan: (plan.at is None, plan.at or now))
        return {
            "next_eligible_at": iso(first.at),
            "because": first.because,
            "dialing": {
                "paused": snapshot.capacity.paused,
                "reason": snapshot.pause_reason,
                "breaker_until": iso(snapshot.capacity.breaker_until),
                "live": snapshot.capacity.live,
            },
            "calling_hours": {
                "policy": str(hours),
                "time_zones": list(zones),
                "open_now": hours.is_open(now, zones),
                "opens_at": iso(hours.next_open(now, zones)),
            },
            "contacts": [
                {
                    "contact_id": contact.contact_id,
                    "time_zone": contact.time_zone,
                    "time_zone_source": contact.time_zone_source,
                }
                for contact in snapshot.contacts
            ],
            "suppressions": [
                {
                    "suppression_id": one.suppression_id,
                    "matches": ["phone"] * bool(one.phones) + ["contact_id"] * bool(one.contact_ids),
                    "reason": one.reason,
                    "source": one.source,
                    "created_at": iso(one.created_at),
                }
                for one in snapshot.suppressions
            ],
            "open_tasks": [_task(task) | plan.as_json() for task, plan in tasks],
            "attempts_last_24h": [
                _attempt(one)
                for one in snapshot.attempts
                if one.holds_person or (one.sent_at is not None and one.sent_at > now - DAY)
            ],
            "decisions": list(snapshot.decisions),
        }

    def _next(self, one: OpenCall, task: Task, snapshot: ContactSnapshot, now: datetime) -> NextCall:
        zones = candidate_zones(one.contact.time_zone, self.numbers.time_zones(one.call.phone))
        region, number_type = self.numbers.region(one.call.phone), self.numbers.number_type(one.call.phone)
        candidate = Candidate(one.call, task, zones, region, number_type, one.own is None)
        return next_call(candidate, one.own.attempt_id if one.own else None, snapshot, self.policy, now)


def _new_call(snapshot: ContactSnapshot, phone: str | None, contact_id: str, now: datetime) -> tuple[OpenCall, Task]:
    """A call to this person as if it were accepted now."""
    contact = snapshot.contacts[0] if snapshot.contacts else Contact(contact_id, phone or "")
    call = Call(
        call_id="",
        contact_id=contact.contact_id,
        phone=phone or contact.phone,
        agent_id="",
        from_number="",
        variables={},
        metadata={},
        retry=RetryPolicy(),
        accepted_at=now,
        expires_at=now + DEFAULT_LIFETIME,
        expiry_is_explicit=False,
    )
    task = Task("", "", TaskKind.FIRST, now)
    return OpenCall(call, task, contact, None), task


def _task(task: Task) -> Item:
    return {
        "call_id": task.call_id,
        "task_id": task.task_id,
        "kind": task.kind,
        "status": task.status,
        "held": task.status is TaskStatus.HELD,
        "due_at": iso(task.due_at),
        "local_time": task.local_time,
        "time_zone": task.time_zone,
    }


def _attempt(one: PastAttempt) -> Item:
    return {
        "attempt_id": one.attempt_id,
        "call_id": one.call_id,
        "number": one.number,
        "state": one.state,
        "sent_at": iso(one.sent_at),
        "ended_at": iso(one.ended_at),
        "disconnection_reason": one.disconnection_reason,
        "holds_person": one.holds_person,
    }
