"""Translate Retell's reports of a call, from any source, into a ProviderReport."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ringback.adapters.retell.reasons import REASONS, end_facts
from ringback.adapters.retell.wire import CallBody, Utterance, call_body, decode_webhook
from ringback.domain.errors import Permanent
from ringback.domain.provider_report import Analysis, ProviderReport, ProviderStatus, ReportKind

__all__ = ["ATTEMPT_KEY", "CALL_KEY", "INSTANCE_KEY", "REASONS", "report_from_call", "report_from_webhook"]

# Our marks in the metadata of every call we create. The first two are sent as dynamic variables too.
CALL_KEY = "ringback_call_id"
ATTEMPT_KEY = "ringback_attempt_id"
INSTANCE_KEY = "ringback_instance"
# Our marks in the answer to an inbound call.
INBOUND_KEY = "ringback_inbound_id"
CONTACT_KEY = "ringback_contact_id"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {kind.value: kind for kind in (ReportKind.STARTED, ReportKind.ENDED, ReportKind.ANALYZED)}
_STATUSES = {status.value: status for status in ProviderStatus}
# An analysis in call_ended is not final, and a tool's call object has none.
_ANALYSIS_COUNTS = frozenset({ReportKind.ANALYZED, ReportKind.SNAPSHOT})


def report_from_webhook(body: str | bytes) -> ProviderReport:
    """Translate a webhook's raw body. Raises Permanent without an event's name or a call id.

    `status` is the body's own value and can be older than `kind`: Retell's sample of call_ended says `registered`.
    """
    webhook = decode_webhook(body)
    return _report(webhook.call, _KINDS.get(webhook.event, ReportKind.OTHER), webhook.event)


def report_from_call(call: object, kind: ReportKind) -> ProviderReport:
    """Translate a parsed or decoded call object: of get-call, list-calls, a tool's body or a posted analysis.

    Raises Permanent if it is not an object with a call id.
    """
    try:
        read = call if isinstance(call, CallBody) else call_body(call)
    except RecursionError:
        raise Permanent("call is nested too deeply") from None
    return _report(read, kind, kind.value)


def _report(call: CallBody, kind: ReportKind, event_name: str) -> ProviderReport:
    metadata = call.metadata or {}
    transcript, agent_spoke, user_turns = _transcript(call)
    # With these settings Retell does not store the transcript.
    stores_nothing = call.data_storage_setting == "basic_attributes_only" or call.opt_out_sensitive_data_storage is True
    withheld = not transcript and stores_nothing
    return ProviderReport(
        kind=kind,
        provider_call_id=call.call_id,
        event_name=event_name,
        attempt_id=_text(metadata, ATTEMPT_KEY),
        call_id=_text(metadata, CALL_KEY),
        instance=_text(metadata, INSTANCE_KEY),
        inbound_id=_text(metadata, INBOUND_KEY),
        contact_id=_text(metadata, CONTACT_KEY),
        direction=call.direction or "outbound",
        status=_STATUSES.get(call.call_status or ""),
        started_at=_instant(call.start_timestamp),
        ended_at=_instant(call.end_timestamp),
        duration_ms=_whole(call.duration_ms),
        disconnection_reason=call.disconnection_reason or None,
        end_facts=end_facts(call.disconnection_reason),
        transcript=transcript,
        transcript_withheld=withheld,
        agent_spoke=agent_spoke,
        user_turns=None if withheld else user_turns,
        recording_url=call.recording_url or call.scrubbed_recording_url or None,
        cost_cents=_number(call.call_cost, "combined_cost"),
        latency=call.latency,
        agent_version=_whole(call.agent_version),
        analysis=_analysis(call.call_analysis, kind),
        from_number=call.from_number,
        to_number=call.to_number,
    )


def _transcript(call: CallBody) -> tuple[str | None, bool, int | None]:
    """Return the text, whether the agent spoke, and how often the user did. None: there is no transcript."""
    kinds = (call.transcript_object, call.transcript_with_tool_calls, call.scrubbed_transcript_with_tool_calls)
    present = [kind for kind in kinds if kind is not None]
    # With `everything_except_pii` the first one with content may be the scrubbed one.
    utterances: list[Utterance] = next((kind for kind in present if kind), [])
    if utterances:
        roles = [item.role for item in utterances if item.content is None or item.content.strip()]
    elif call.transcript is not None:
        lines = (line.partition(":") for line in call.transcript.splitlines())
        roles = [speaker.strip().lower() for speaker, _, words in lines if words.strip()]
    else:
        return None, False, 0 if present else None
    # As Retell formats it, for bodies that have only the list.
    speakers = {"agent": "Agent", "user": "User", "transfer_target": "Transfer Target"}
    said = [f"{speakers[i.role]}: {i.content}" for i in utterances if i.role in speakers and i.content]
    return call.transcript or "\n".join(said) or call.transcript, "agent" in roles, roles.count("user")


def _analysis(raw: dict[str, Any] | None, kind: ReportKind) -> Analysis | None:
    """Read the analysis. A call_analyzed always has one, even an empty one: its arrival is a fact."""
    if kind not in _ANALYSIS_COUNTS or (not raw and kind is not ReportKind.ANALYZED):
        return None
    raw = raw or {}
    custom = raw.get("custom_analysis_data")
    return Analysis(
        summary=_text(raw, "call_summary"),
        sentiment=_text(raw, "user_sentiment"),
        successful=_flag(raw, "call_successful"),
        in_voicemail=_flag(raw, "in_voicemail"),
        custom=custom if isinstance(custom, dict) else {},
    )


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) and value else None


def _flag(raw: Mapping[str, Any], key: str) -> bool | None:
    value = raw.get(key)
    return value if isinstance(value, bool) else None


def _number(raw: Mapping[str, Any] | None, key: str) -> float | None:
    value = (raw or {}).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _whole(value: int | float | None) -> int | None:
    """Return a whole number that a bigint of PostgreSQL can hold."""
    return int(value) if value is not None and 0 <= value < 2**63 else None


def _instant(unix_ms: int | float | None) -> datetime | None:
    if unix_ms is None or not 0 < unix_ms < 2**63:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=int(unix_ms))
    except OverflowError:
        return None
