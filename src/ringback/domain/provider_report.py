"""One report of the provider about a call, and its merge into the facts of an attempt."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party, furthest


class ReportKind(StrEnum):
    STARTED = "call_started"
    ENDED = "call_ended"
    ANALYZED = "call_analyzed"
    SNAPSHOT = "snapshot"  # polled; its status says how far the call got
    TOOL = "tool"  # a signed tool call during the conversation
    OTHER = "other"  # recorded, without further effect


class ProviderStatus(StrEnum):
    REGISTERED = "registered"
    NOT_CONNECTED = "not_connected"
    ONGOING = "ongoing"
    ENDED = "ended"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class EndFacts:
    """Meaning of a disconnection reason. `connected` is None where only the timestamps can tell."""

    dial: DialFact
    party: Party
    end: str  # the cause: person, agent, provider, network, system, transfer, time_limit, silence …
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
class ProviderReport:
    """A report about a call. Times are UTC. Only the provider's call id is always present, as in real payloads."""

    kind: ReportKind
    provider_call_id: str
    event_name: str = ""  # the provider's own name, for unknown events
    attempt_id: str | None = None
    call_id: str | None = None
    instance: str | None = None
    inbound_id: str | None = None  # Ringback's id of an inbound call
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
    agent_version: int | None = None
    analysis: Analysis | None = None
    from_number: str | None = None
    to_number: str | None = None

    @property
    def says_stop(self) -> bool:
        """Whether the provider reports that the person asked not to be called again."""
        return self.end_facts is not None and self.end_facts.opt_out


_END_FACTS = (
    "ended_at",
    "duration_ms",
    "disconnection_reason",
    "cost_cents",
    "latency",
    "recording_url",
    "agent_version",
)
_BY_PROVIDER = Analysis().source
#: The end of a polled call for which the provider gives no reason.
_NO_REASON = EndFacts(DialFact.PROVIDER_ERROR, Party.UNKNOWN, "unknown", connected=None)


def evidence_of(report: ProviderReport) -> AttemptState:
    """The state that this report alone proves."""
    if report.kind is ReportKind.ANALYZED:
        return AttemptState.ANALYZED
    if report.kind is ReportKind.ENDED:
        return AttemptState.ENDED
    if report.kind in (ReportKind.STARTED, ReportKind.TOOL):
        return AttemptState.ONGOING
    is_over = report.status in (ProviderStatus.ENDED, ProviderStatus.NOT_CONNECTED, ProviderStatus.ERROR)
    if is_over or report.end_facts is not None:
        return AttemptState.ANALYZED if report.analysis is not None else AttemptState.ENDED
    return AttemptState.ONGOING if report.status is ProviderStatus.ONGOING else AttemptState.PLACED


def absorb(attempt: Attempt, report: ProviderReport) -> None:
    """Merge a report into the attempt's facts. The merge is commutative and idempotent over an attempt's webhooks.

    A fact of the analysis overrides one of the end in either order. The earliest start is kept.
    """
    if report.kind is ReportKind.OTHER:
        return
    evidence = evidence_of(report)
    is_ahead = _rank(evidence) >= _known_rank(attempt)
    starts = [moment for moment in (attempt.started_at, report.started_at) if moment is not None]
    attempt.started_at = min(starts) if starts else None
    if report.kind in (ReportKind.STARTED, ReportKind.TOOL) or report.status is ProviderStatus.ONGOING:
        attempt.connected = True
    if evidence in (AttemptState.ENDED, AttemptState.ANALYZED):
        _absorb_end(attempt, report, is_ahead)
    if evidence is AttemptState.ANALYZED:
        analysis = report.analysis or Analysis()
        for name in ("summary", "sentiment", "successful", "in_voicemail"):
            _take(attempt, name, getattr(analysis, name), is_ahead)
        _take(attempt, "analysis", analysis.custom, is_ahead)
        _take(attempt, "analysis_source", analysis.source, is_ahead)
    attempt.state = furthest(attempt.state, _reached(attempt, report, evidence))
    _derive(attempt)


def _reached(attempt: Attempt, report: ProviderReport, evidence: AttemptState) -> AttemptState:
    """The state after the report.

    An analysis without the reason for the end decides nothing yet. Another analyzer's analysis does not even prove that
    the call is over.
    """
    if evidence not in (AttemptState.ENDED, AttemptState.ANALYZED):
        return evidence
    if attempt.dial is None and report.analysis is not None and report.analysis.source != _BY_PROVIDER:
        return AttemptState.PLACED
    is_analyzed = attempt.analysis_source is not None and attempt.dial is not None
    return AttemptState.ANALYZED if is_analyzed else AttemptState.ENDED


def _known_rank(attempt: Attempt) -> int:
    return _rank(AttemptState.ANALYZED if attempt.analysis_source is not None else attempt.state)


def _rank(state: AttemptState) -> int:
    return {AttemptState.ENDED: 3, AttemptState.ANALYZED: 4}.get(state, 0)


def _absorb_end(attempt: Attempt, report: ProviderReport, is_ahead: bool) -> None:
    for name in _END_FACTS:
        _take(attempt, name, getattr(report, name), is_ahead)
    if report.transcript is not None and (is_ahead or attempt.transcript is None):
        attempt.transcript = report.transcript
        attempt.user_turns = report.user_turns
        attempt.agent_spoke = report.agent_spoke
    attempt.transcript_withheld = attempt.transcript_withheld or report.transcript_withheld
    facts = report.end_facts
    if facts is None and report.kind is ReportKind.SNAPSHOT and attempt.dial is None:
        facts = _NO_REASON
    if facts is not None and (is_ahead or attempt.dial is None):
        attempt.connected = attempt.connected or facts.connected
        attempt.dial, attempt.party, attempt.end = facts.dial, facts.party, facts.end
        if facts.opt_out:
            attempt.business["opt_out"] = True
        if facts.capacity:
            attempt.business["capacity"] = True
        if facts.callback_asked:
            attempt.business["callback_asked"] = True


def _take(attempt: Attempt, name: str, value: object, is_ahead: bool) -> None:
    if value is not None and (is_ahead or getattr(attempt, name) is None):
        setattr(attempt, name, value)


def _derive(attempt: Attempt) -> None:
    """Derive facts from the merged ones, so that the order of the reports does not matter."""
    if attempt.dial is None:
        return
    if attempt.connected is None and (attempt.started_at is not None or (attempt.duration_ms or 0) > 0):
        # The reason alone does not say it. A call with a start or a length was connected.
        attempt.connected = True
    if attempt.connected:
        attempt.dial = DialFact.ANSWERED
        if attempt.in_voicemail:
            attempt.party = Party.VOICEMAIL
        elif attempt.party is Party.UNKNOWN:
            attempt.party = Party.HUMAN
    attempt.business["goal_met"] = attempt.successful
