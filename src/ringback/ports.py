"""What we need from the world, on one screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ringback.domain.attempt import VoicemailAction
from ringback.domain.call_event import CallReport
from ringback.domain.dial import DialAnswer, DialRequest


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for leases and timeouts."""
        ...


class VoiceProvider(Protocol):
    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        """Send one create-phone-call, or answer NOT_SENT (`lease_over`) if the monotonic deadline has passed. Never raises
        for anything the network or the provider does."""
        ...

    async def find_attempt(self, attempt_id: str) -> list[CallReport]:
        """Every call whose metadata carries this attempt id. Raises ProviderUnavailable."""
        ...

    async def fetch_call(self, provider_call_id: str) -> CallReport | None:
        """The call as it is now; None if the provider does not know it. Raises ProviderUnavailable."""
        ...

    async def stop_call(self, provider_call_id: str) -> None:
        """End an ongoing call. Raises ProviderUnavailable."""
        ...

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        """What the agent does on a voicemail, cached; UNKNOWN if it cannot be learnt."""
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


class MessageQueue(Protocol):
    """Amazon SQS's semantics: at least once, no order, batches of ten at the most are one call."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        """The positions that were NOT taken (empty: all are durable). Raises QueueUnavailable if none was."""
        ...

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """Up to min(limit, 10) messages, each invisible to others for `visibility_s`; waits up to `wait_s` (at most 20) for the
        first. A message received more often than the queue's limit goes to the dead letters instead."""
        ...

    async def delete(self, receipts: Sequence[str]) -> None:
        """Acknowledge. A stale receipt (the message was delivered again since) deletes nothing."""
        ...

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        """Extend the work on these deliveries, or give them back after `visibility_s` (0 = now)."""
        ...

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Move one received message to the dead letters now."""
        ...

    async def depth(self) -> int:
        """How many messages wait to be received, approximately."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one row that was offered to Engage. `retry_after_s` is Engage's own wish, if it said one."""

    delivered: bool
    permanent: bool = False  # 4xx other than 408, 425, 429
    detail: str = ""
    retry_after_s: float | None = None


class Engage(Protocol):
    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        """Send one ABT event or CRM write under its id. Never raises for what the network or Engage does."""
        ...


class NumberPlan(Protocol):
    def region(self, phone: str) -> str | None:
        """ISO 3166 country of an E.164 number, None if it has none."""
        ...

    def time_zones(self, phone: str) -> tuple[str, ...]:
        """Every IANA zone the number may lie in; empty if unknown."""
        ...


@dataclass(frozen=True, slots=True)
class SpokenMoment:
    """What words said about a moment. `instant` for an absolute one; otherwise `local`, naive, in the contact's zone.
    Neither: `ask` is one sentence that asks for what was missing."""

    instant: datetime | None = None
    local: datetime | None = None
    ask: str | None = None


class SpokenTime(Protocol):
    def read(self, words: str, now_local: datetime) -> SpokenMoment:
        """Accepts only words in which day and clock time were both recognised, or a span such as "in two hours"."""
        ...
