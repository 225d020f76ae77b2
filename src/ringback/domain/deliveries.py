"""Messages to Engage as an operator sees them: their states, a choice among them, and what Engage answers."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

EngageKind = Literal["abt_event", "crm_fields", "crm_note"]
#: The kinds of messages that go to Engage.
ENGAGE_KINDS: tuple[EngageKind, ...] = ("abt_event", "crm_fields", "crm_note")


class DeliveryState(StrEnum):
    """WAITING: not delivered yet, because it is young or because a try failed. FAILED: given up."""

    WAITING = "waiting"
    FAILED = "failed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Messages of one state. None is no condition.

    `answer` is the last error. `since` and `until` are of the delivery, so only delivered messages have them.
    """

    state: DeliveryState
    kind: EngageKind | None = None
    event_type: str | None = None
    call_id: str | None = None
    message_id: str | None = None
    answer: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryHealth:
    """The health of Engage's endpoint, by the last hour and the messages in the outbox. Counts stop at the given limit.

    `failing` counts the waiting messages with a failed try. `answers` has (last error, waiting, given up).
    """

    waiting: int
    failing: int
    failed: int
    delivered: int  # since the given time
    delivered_at: datetime | None  # the last one since then
    oldest_at: datetime | None  # the oldest waiting message
    answers: tuple[tuple[str, int, int], ...]
