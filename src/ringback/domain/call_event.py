"""The provider's word about a call in our terms, one shape for webhooks, polled calls and tool calls."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ringback.domain.attempt import DialFact, Party


class ReportKind(StrEnum):
    STARTED = "call_started"
    ENDED = "call_ended"
    ANALYZED = "call_analyzed"
    SNAPSHOT = "snapshot"  # asked for by us; says by its status how far the call got
    TOOL = "tool"  # a signed tool call during the conversation
    OTHER = "other"  # an event we record and do not act on


class ProviderStatus(StrEnum):
    REGISTERED = "registered"
    NOT_CONNECTED = "not_connected"
    ONGOING = "ongoing"
    ENDED = "ended"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What a disconnection reason says. `connected` None: the reason alone cannot tell, the timestamps do."""

    dial: DialFact
    party: Party
    end: str  # who or what ended it: person, agent, provider, network, system, transfer, time_limit, silence …
    connected: bool | None
    opt_out: bool = False
    capacity: bool = False
    callback_asked: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    summary: str | None = None
    sentiment: str | None = None
    successful: bool | None = None
    in_voicemail: bool | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    source: str = "retell"


@dataclass(frozen=True, slots=True)
class CallReport:
    """Times are UTC. Everything but the provider's call id may be missing, as it is in real payloads."""

    kind: ReportKind
    provider_call_id: str
    event_name: str = ""  # the provider's own name, for unknown events
    attempt_id: str | None = None
    call_id: str | None = None
    instance: str | None = None
    inbound_id: str | None = None  # ours, of an inbound call that we answered for
    contact_id: str | None = None  # of an inbound call
    direction: str = "outbound"
    status: ProviderStatus | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    disconnection_reason: str | None = None
    end_facts: EndFacts | None = None
    transcript: str | None = None
    transcript_withheld: bool = False
    agent_spoke: bool = False
    user_turns: int | None = None
    recording_url: str | None = None
    cost_cents: float | None = None
    latency: dict[str, Any] | None = None
    analysis: Analysis | None = None
    from_number: str | None = None
    to_number: str | None = None

    @property
    def says_stop(self) -> bool:
        """Whether the provider itself heard the person ask not to be called again."""
        return self.end_facts is not None and self.end_facts.opt_out
