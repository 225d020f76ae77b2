"""The one reducer: what every report says about an attempt is merged into facts, and the facts give the verdict."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party, VoicemailAction, furthest
from ringback.domain.call_event import Analysis, CallReport, EndFacts, ProviderStatus, ReportKind

S = AttemptState

_CONNECTED_REASON = {
    DialFact.NO_ANSWER: FailReason.NO_ANSWER,
    DialFact.BUSY: FailReason.BUSY,
    DialFact.DECLINED: FailReason.DECLINED,
    DialFact.INVALID: FailReason.INVALID_NUMBER,
    DialFact.REJECTED: FailReason.REFUSED,
    DialFact.PROVIDER_ERROR: FailReason.PROVIDER_ERROR,
    DialFact.NOT_DIALED: FailReason.PROVIDER_ERROR,
    # "answered" on a call that never connected contradicts itself; the provider is at fault, not the person
    DialFact.ANSWERED: FailReason.PROVIDER_ERROR,
}

_BY_PROVIDER = Analysis().source
#: What is left to say when the provider, asked about a call that is over, gives no reason for its end.
_NO_REASON = EndFacts(DialFact.PROVIDER_ERROR, Party.UNKNOWN, "unknown", connected=None)


def evidence_of(report: CallReport) -> AttemptState:
    """How far the call got, by this report alone."""
    if report.kind is ReportKind.ANALYZED:
        return S.ANALYZED
    if report.kind is ReportKind.ENDED:
        return S.ENDED
    if report.kind in (ReportKind.STARTED, ReportKind.TOOL):
        return S.ONGOING
    is_over = report.status in (ProviderStatus.ENDED, ProviderStatus.NOT_CONNECTED, ProviderStatus.ERROR)
    if is_over or report.end_facts is not None:
        return S.ANALYZED if report.analysis is not None else S.ENDED
    return S.ONGOING if report.status is ProviderStatus.ONGOING else S.PLACED


def absorb(attempt: Attempt, report: CallReport) -> None:
    """Merge a report into the attempt's facts. Commutative and idempotent over an attempt's webhooks: a fact of the
    analysis beats one of the end, whichever came first, and the earliest start stands."""
    if report.kind is ReportKind.OTHER:
        return
    evidence = evidence_of(report)
    is_ahead = _rank(evidence) >= _known_rank(attempt)
    starts = [moment for moment in (attempt.started_at, report.started_at) if moment is not None]
    attempt.started_at = min(starts) if starts else None
    if report.kind in (ReportKind.STARTED, ReportKind.TOOL) or report.status is ProviderStatus.ONGOING:
        attempt.connected = True
    if evidence in (S.ENDED, S.ANALYZED):
        _absorb_end(attempt, report, is_ahead)
    if evidence is S.ANALYZED:
        _absorb_analysis(attempt, report.analysis or Analysis(), is_ahead)
    attempt.state = furthest(attempt.state, _reached(attempt, report, evidence))
    _derive(attempt)


def _reached(attempt: Attempt, report: CallReport, evidence: AttemptState) -> AttemptState:
    """An analysis that came ahead of the reason for the end decides nothing before that reason is known, and another
    analyzer's does not even say that the call is over."""
    if evidence not in (S.ENDED, S.ANALYZED):
        return evidence
    if attempt.dial is None and report.analysis is not None and report.analysis.source != _BY_PROVIDER:
        return S.PLACED
    return S.ANALYZED if attempt.analysis_source is not None and attempt.dial is not None else S.ENDED


def _known_rank(attempt: Attempt) -> int:
    return _rank(S.ANALYZED if attempt.analysis_source is not None else attempt.state)


def _rank(state: AttemptState) -> int:
    return {S.ENDED: 3, S.ANALYZED: 4}.get(state, 0)


def _absorb_end(attempt: Attempt, report: CallReport, is_ahead: bool) -> None:
    for name in ("ended_at", "duration_ms", "disconnection_reason", "cost_cents", "latency", "recording_url"):
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
        _absorb_end_facts(attempt, facts)


def _absorb_end_facts(attempt: Attempt, facts: EndFacts) -> None:
    attempt.connected = attempt.connected or facts.connected
    attempt.dial = facts.dial
    attempt.party = facts.party
    attempt.end = facts.end
    if facts.opt_out:
        attempt.business["opt_out"] = True
    if facts.capacity:
        attempt.business["capacity"] = True
    if facts.callback_asked:
        attempt.business["callback_asked"] = True


def _absorb_analysis(attempt: Attempt, analysis: Analysis, is_ahead: bool) -> None:
    _take(attempt, "summary", analysis.summary, is_ahead)
    _take(attempt, "sentiment", analysis.sentiment, is_ahead)
    _take(attempt, "successful", analysis.successful, is_ahead)
    _take(attempt, "in_voicemail", analysis.in_voicemail, is_ahead)
    _take(attempt, "analysis", analysis.custom, is_ahead)
    _take(attempt, "analysis_source", analysis.source, is_ahead)


def _take(attempt: Attempt, name: str, value: object, is_ahead: bool) -> None:
    if value is not None and (is_ahead or getattr(attempt, name) is None):
        setattr(attempt, name, value)


def _derive(attempt: Attempt) -> None:
    """Facts that follow from the merged ones, so that the order in which those came cannot show."""
    if attempt.dial is None:
        return
    if attempt.connected is None and (attempt.started_at is not None or (attempt.duration_ms or 0) > 0):
        # The reason alone could not tell: a call that has a start or a length was connected.
        attempt.connected = True
    if attempt.connected:
        attempt.dial = DialFact.ANSWERED
        if attempt.in_voicemail:
            attempt.party = Party.VOICEMAIL
        elif attempt.party is Party.UNKNOWN:
            attempt.party = Party.HUMAN
    attempt.business["goal_met"] = attempt.successful


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt's end means. `analysis_missing`: decided without it, so a later analysis may correct this."""

    type: AbtType
    reason: FailReason | None = None
    analysis_missing: bool = False

    @property
    def is_failure(self) -> bool:
        return self.type is AbtType.FAILED


def decide(attempt: Attempt, *, was_polled: bool = False, gave_up: bool = False) -> Verdict | None:
    """The verdict, or None while something that decides it is still expected.

    `was_polled`: the provider was asked and said the call is over, so a call that never connected needs no analysis.
    `gave_up`: the analysis will not be waited for any longer.
    """
    if attempt.state not in (S.ENDED, S.ANALYZED) or attempt.dial is None:
        return None
    has_analysis = attempt.state is S.ANALYZED
    if not attempt.connected:
        if not (has_analysis or was_polled or gave_up):
            return None
        reason = FailReason.CAPACITY if attempt.business.get("capacity") else _CONNECTED_REASON[attempt.dial]
        return Verdict(AbtType.FAILED, reason)
    if not has_analysis and not gave_up:
        return None
    return _decide_connected(attempt, analysis_missing=not has_analysis)


def _decide_connected(attempt: Attempt, *, analysis_missing: bool) -> Verdict:
    if attempt.party is Party.VOICEMAIL:
        if attempt.agent_spoke and attempt.voicemail_action is not VoicemailAction.HANGUP:
            return Verdict(AbtType.LEFT_VOICEMAIL, analysis_missing=analysis_missing)
        return Verdict(AbtType.FAILED, FailReason.VOICEMAIL_NO_MESSAGE, analysis_missing)
    if attempt.party is Party.IVR:
        return Verdict(AbtType.FAILED, FailReason.IVR, analysis_missing)
    spoke = bool(attempt.user_turns) or (attempt.user_turns is None and attempt.transcript_withheld)
    if not spoke:
        return Verdict(AbtType.FAILED, FailReason.ANSWERED_NO_SPEECH, analysis_missing)
    if attempt.successful is True:
        return Verdict(AbtType.COMPLETED)
    return Verdict(AbtType.PARTIALLY_COMPLETED, analysis_missing=analysis_missing)


def is_final(attempt: Attempt) -> bool:
    """Whether nothing more is expected. A verdict that was announced for want of facts loses its digest when evidence
    brings the call back: its end is still to come, and will correct that."""
    return attempt.verdict_digest is not None


def verdict_data(attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    """The part of a terminal event's data that follows from the attempt alone."""
    if verdict.is_failure:
        return {
            "reason": verdict.reason,
            "provider_reason": attempt.disconnection_reason,
            "attempted": True,
        }
    return {
        "ended_at": attempt.ended_at,
        "duration_ms": attempt.duration_ms,
        "analysis": "missing" if verdict.analysis_missing else analysis_data(attempt),
    }


def analysis_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "successful": attempt.successful,
        "summary": attempt.summary,
        "sentiment": attempt.sentiment,
        "in_voicemail": attempt.in_voicemail,
        "custom": attempt.analysis or {},
    }


def verdict_digest(verdict: Verdict) -> str:
    """Two verdicts with one digest are the same fact: nothing is corrected between them."""
    missing = "missing" if verdict.analysis_missing and not verdict.is_failure else ""
    return f"{verdict.type}:{verdict.reason or ''}:{missing}"


PROVIDER_LOST_DIGEST = verdict_digest(Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST))


def occurred_at(attempt: Attempt) -> datetime:
    """When the attempt ended, by the provider; a call that never connected carries no times, so when it was placed."""
    moment = attempt.ended_at or attempt.placed_at or attempt.sent_at
    assert moment is not None, "an attempt with a verdict was sent"
    return moment
