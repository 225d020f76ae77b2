"""A request to call somebody, checked, and what is answered to it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.call import CallStatus, RetryPolicy


@dataclass(frozen=True, slots=True)
class NewCall:
    """Times are UTC. `fingerprint` is the request's identity: sha256 (hex) of its parsed JSON with sorted keys."""

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

    `replayed`: the answer was given before, under the same idempotency key.
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
    """The idempotency key stands for another request."""
