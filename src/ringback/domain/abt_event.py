"""The seven lifecycle events for Engage, their deterministic ids and their envelope."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

SOURCE = "/ringback"

# Ids name facts and are never random. The same fact gets the same id on every machine.
_NAMESPACE = uuid.UUID("6d1f6a52-9d0c-5e0e-8b0f-6c1f2b7a9e11")


class AbtType(StrEnum):
    INITIATED = "voice_ai_call_initiated"
    FAILED = "voice_ai_call_failed"
    STARTED = "voice_ai_call_started"
    LEFT_VOICEMAIL = "voice_ai_call_left_voicemail"
    COMPLETED = "voice_ai_call_completed"
    RESCHEDULED = "voice_ai_call_rescheduled"
    PARTIALLY_COMPLETED = "voice_ai_call_partially_completed"


LIFECYCLE_NAMES = frozenset(AbtType)
#: Members of the data of every event. A custom event must not set them.
OWN_DATA = frozenset(
    {"call_id", "contact_id", "attempt", "attempt_id", "provider_call_id", "sequence", "occurred_at", "metadata"}
)


class FailReason(StrEnum):
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    INVALID_NUMBER = "invalid_number"
    PROVIDER_ERROR = "provider_error"
    REFUSED = "refused"
    CAPACITY = "capacity"
    VOICEMAIL_NO_MESSAGE = "voicemail_no_message"
    ANSWERED_NO_SPEECH = "answered_no_speech"
    IVR = "ivr"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PROVIDER_LOST = "provider_lost"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    NUMBER_TYPE_NOT_ALLOWED = "number_type_not_allowed"


def event_id(*fact: object) -> str:
    """The id of a fact, made from the words that name it: (attempt id, "started"), (task id, "rescheduled", 2) …"""
    return str(uuid.uuid5(_NAMESPACE, "/".join(str(part) for part in fact)))


def rescheduled_event_id(task_id: str) -> str:
    """The id of the event that reported this new task."""
    return event_id(task_id, "rescheduled", 0)


def iso(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds: the one form of a time in all output."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat("T", "milliseconds")[:-6] + "Z"  # it ends with +00:00 in UTC


@dataclass(frozen=True, slots=True)
class AbtEvent:
    event_id: str
    type: str
    call_id: str
    occurred_at: datetime
    data: dict[str, Any]

    def envelope(self) -> dict[str, Any]:
        """A CloudEvents 1.0 event in JSON form (github.com/cloudevents/spec)."""
        return {
            "specversion": "1.0",
            "id": self.event_id,
            "source": SOURCE,
            "type": self.type,
            "subject": self.call_id,
            "time": iso(self.occurred_at),
            "datacontenttype": "application/json",
            "data": self.data,
        }
