"""The ports: what the flows need from clock, provider, queue, Engage and number plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ringback.domain.attempt import DialAnswer, DialRequest, VoicemailAction
from ringback.domain.provider_report import ProviderReport


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for leases and timeouts."""
        ...


class VoiceProvider(Protocol):
    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        """Send one create-phone-call, or return NOT_SENT (`lease_over`) after the monotonic deadline. Faults of the
        network and of the provider are returned, never raised."""
        ...

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        """Return every call with this attempt id in its metadata. Raises ProviderUnavailable."""
        ...

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        """Return the call as it is now, None if the provider does not know it. Raises ProviderUnavailable."""
        ...

    async def stop_call(self, provider_call_id: str) -> None:
        """End an ongoing call. Raises ProviderUnavailable."""
        ...

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        """Return the action of the agent on a voicemail, cached. UNKNOWN if it cannot be found out."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    body: str
    delay_s: int = 0  # 0..900, as SQS allows
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    message_id: str
    receipt: str  # of this delivery; a later delivery of the same message has another
    body: str
    receive_count: int  # 1 on the first delivery
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `reason` and `dead_at` are None if they were not recorded."""

    letter_id: str
    body: str
    reason: str | None
    dead_at: datetime | None


class MessageQueue(Protocol):
    """A queue with the semantics of Amazon SQS: at least once, no order, at most ten messages in one call."""

    @property
    def max_message_bytes(self) -> int:
        """The largest message that `send` accepts: its body with the names, types and values of its attributes."""
        ...

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        """Return the positions that were NOT sent (empty: all are durable). Raises QueueUnavailable if none was."""
        ...

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """Return up to min(limit, 10) messages, each invisible to others for `visibility_s`.

        Waits up to `wait_s` (at most 20) for the first. A message that exceeds the queue's receive limit goes to the
        dead letters instead.
        """
        ...

    async def delete(self, receipts: Sequence[str]) -> None:
        """Acknowledge. A stale receipt, of a message that was delivered again since, deletes nothing."""
        ...

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        """Hide these deliveries for `visibility_s` from now, which extends the work or returns them (0 = now)."""
        ...

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Move one received message to the dead letters now."""
        ...

    async def depth(self) -> int:
        """Return the approximate number of messages that wait to be received."""
        ...

    async def oldest_age_s(self) -> float | None:
        """Return the age in seconds of the oldest waiting message, 0 if none waits. None: this queue does not tell."""
        ...

    async def dead_letter_count(self) -> int:
        """Return the approximate number of dead letters. The count may stop above a thousand."""
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return some dead letters, at most a thousand. The oldest are first if the queue knows their age."""
        ...

    async def replay(self, letter_id: str | None) -> int:
        """Requeue one dead letter (None: all) as if new, with a new receive count. Returns how many."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one delivery to Engage. `retry_after_s` is the value of Engage's Retry-After, if there is one."""

    delivered: bool
    permanent: bool = False  # 4xx other than 408, 425, 429
    detail: str = ""
    retry_after_s: float | None = None


class Engage(Protocol):
    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        """Send one ABT event or CRM write under its id. Faults are returned, never raised."""
        ...


@dataclass(frozen=True, slots=True)
class SpokenMoment:
    """The moment that words mean: an absolute `instant`, or a naive `local` time, or a question.

    `local` is in the `zone` that the words named, else in the contact's. `ask` is one sentence about the missing part.
    """

    instant: datetime | None = None
    local: datetime | None = None
    ask: str | None = None
    zone: str | None = None


class SpokenTime(Protocol):
    def read(self, words: str, now: datetime, zones: tuple[str, ...], country: str | None) -> SpokenMoment:
        """Accept only words with a day and a clock time, or with a span such as "in two hours".

        `zones` are the possible zones of the person. The number's `country` decides the order of "12/1".
        """
        ...
