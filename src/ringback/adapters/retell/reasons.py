"""The table of Retell's disconnection reasons in terms of the domain, one row each."""

from ringback.domain.attempt import DialFact, Party
from ringback.domain.provider_report import EndFacts

_D, _P = DialFact, Party


def _talked(end: str, *, opt_out: bool = False, callback_asked: bool = False) -> EndFacts:
    """Connected, with no sign of a machine in the reason. An analysis may still report one."""
    return EndFacts(_D.ANSWERED, _P.HUMAN, end, connected=True, opt_out=opt_out, callback_asked=callback_asked)


def _unconnected(dial: DialFact, end: str, capacity: bool = False) -> EndFacts:
    return EndFacts(dial, _P.UNKNOWN, end, connected=False, capacity=capacity)


def _broke(end: str, dial: DialFact = DialFact.PROVIDER_ERROR) -> EndFacts:
    """Possible before or during a conversation; the timestamps decide. If the call connected, `dial` is ignored."""
    return EndFacts(dial, _P.UNKNOWN, end, connected=None)


# The values are those of retell-sdk 6.2.13 (types/phone_call_response.py). Whether one means a connected call is from
# Retell's page on disconnections. Rows without a documented meaning say so.
REASONS: dict[str, EndFacts] = {
    "user_hangup": _talked("person"),
    "agent_hangup": _talked("agent"),
    "call_transfer": _talked("transfer"),
    # The agent hung up on the voicemail or left a message: the reason does not distinguish the two.
    "voicemail_reached": EndFacts(_D.ANSWERED, _P.VOICEMAIL, "agent", connected=True),
    "ivr_reached": EndFacts(_D.ANSWERED, _P.IVR, "agent", connected=True),
    "inactivity": _talked("silence"),
    "max_duration_reached": _talked("time_limit"),
    # Inbound only: the caller was transferred to the fallback number, and no agent spoke.
    "no_concurrency_fallback": _broke("transfer", _D.NOT_DIALED),
    "dial_busy": _unconnected(_D.BUSY, "network"),
    "dial_no_answer": _unconnected(_D.NO_ANSWER, "network"),
    # Any SIP failure without its own name. A carrier's silent spam block looks the same.
    "dial_failed": _unconnected(_D.PROVIDER_ERROR, "network"),
    "invalid_destination": _unconnected(_D.INVALID, "network"),
    "telephony_provider_permission_denied": _unconnected(_D.REJECTED, "provider"),
    "telephony_provider_unavailable": _unconnected(_D.PROVIDER_ERROR, "provider"),
    "sip_routing_error": _unconnected(_D.PROVIDER_ERROR, "network"),
    # SIP 608: the callee's network rejected the call, not the person.
    "marked_as_spam": _unconnected(_D.REJECTED, "network"),
    "user_declined": _unconnected(_D.DECLINED, "person"),
    # Comes after the call was accepted, although no phone rang.
    "concurrency_limit_reached": _unconnected(_D.NOT_DIALED, "provider", capacity=True),
    "no_valid_payment": _unconnected(_D.NOT_DIALED, "provider"),
    # Retell flags the agent. It is not documented whether this is before or during the call.
    "scam_detected": _broke("provider", _D.REJECTED),
    "error_llm_websocket_open": _broke("system"),
    "error_llm_websocket_lost_connection": _broke("system"),
    "error_llm_websocket_runtime": _broke("system"),
    "error_llm_websocket_corrupt_payload": _broke("system"),
    "error_no_audio_received": _broke("system"),
    "error_asr": _broke("system"),
    "error_retell": _broke("system"),
    "error_unknown": _broke("system"),
    # Web calls only: no user joined within 30 s, and no phone rang.
    "error_user_not_joined": _unconnected(_D.NOT_DIALED, "system"),
    # A registered call that its own telephony never dialed.
    "registered_call_timeout": _unconnected(_D.NOT_DIALED, "time_limit"),
    "user_requested_dnc": _talked("person", opt_out=True),
    "user_requested_callback": _talked("person", callback_asked=True),
    "transfer_bridged": _talked("transfer"),
    "transfer_cancelled": _talked("transfer"),
    "manual_stopped": _talked("operator"),
    "call_take_over": _talked("operator"),
    # Undocumented. An account can run out of credit during a call, so the timestamps decide.
    "credit_exhausted": _broke("provider", _D.NOT_DIALED),
    "budget_reached": _broke("provider", _D.NOT_DIALED),
    "network_blocked": _unconnected(_D.REJECTED, "network"),  # undocumented, named like a refusal
}

# Gone from the SDK's enum, still in old call objects.
_LEGACY: dict[str, EndFacts] = {
    "machine_detected": REASONS["voicemail_reached"],
    "error_inbound_webhook": _broke("system", _D.NOT_DIALED),
}

_UNKNOWN = _broke("unknown")


def end_facts(reason: str | None) -> EndFacts | None:
    """Return the facts of a reason, or None without one.

    A value that is newer than the table is a provider error unless the timestamps show a conversation.
    """
    if not reason:
        return None
    return REASONS.get(reason) or _LEGACY.get(reason) or _UNKNOWN
