"""The magic numbers: what happens to a call, chosen by the last two digits of a fictional phone number."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

SCENARIO_KEY = "emulator_scenario"
_FICTIONAL_NUMBER = re.compile(r"\+1\d{3}55501(\d{2})")


@dataclass(frozen=True, slots=True)
class Tool:
    """A custom function the agent calls in the middle of the talk."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the analysis of a connected call says."""

    successful: bool
    sentiment: Literal["Negative", "Positive", "Neutral", "Unknown"]
    summary: str
    in_voicemail: bool = False
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One scenario; times are emulated seconds. `reason` is Retell's disconnection reason."""

    reason: str
    connects: bool = True
    rings: bool = True
    ring_s: float = 4.0
    talk_s: float = 20.0
    analysis_s: float = 2.0
    dialogue: str = "goal_met"
    verdict: Verdict | None = None
    tool: Tool | None = None
    create: Literal["answers", "fails_after_ring", "hangs_after_ring", "throttles_twice"] = "answers"
    webhooks: Literal["once", "never", "twice_reversed"] = "once"


_GOAL_MET = Verdict(
    True,
    "Positive",
    "The agent introduced the spring offer. The user was interested, confirmed the e-mail address on file and agreed "
    "to receive the contract today.",
    custom={"interest": "high", "callback_requested": False, "next_step": "send contract"},
)
_CUT_SHORT = Verdict(
    False,
    "Negative",
    "The user said it was a bad moment and hung up before the agent could explain the offer.",
    custom={"interest": "low", "callback_requested": False},
)
_OPTED_OUT = Verdict(
    False,
    "Negative",
    "The user asked not to be called again. The agent apologised and recorded the request.",
    custom={"interest": "low", "callback_requested": False, "do_not_call": True},
)
_CALLBACK = Verdict(
    False,
    "Neutral",
    "The user was busy and asked to be called back tomorrow at 3pm. The agent arranged the callback.",
    custom={"interest": "medium", "callback_requested": True},
)
_MESSAGE_LEFT = Verdict(
    False, "Unknown", "The call reached a voicemail box and the agent left its message.", in_voicemail=True
)
_HUNG_UP_ON_MACHINE = Verdict(
    False, "Unknown", "The call reached a voicemail box and ended without a message.", in_voicemail=True
)
_TRANSFERRED = Verdict(
    True,
    "Positive",
    "The user wanted to speak to a person about the details and was transferred to the sales team.",
    custom={"interest": "high", "callback_requested": False, "next_step": "sales team"},
)

_ANSWERED = Script(reason="agent_hangup", verdict=_GOAL_MET)

SCENARIOS: dict[str, Script] = {
    "00": _ANSWERED,
    "01": Script(reason="dial_no_answer", connects=False, ring_s=30.0),
    "02": Script(reason="dial_busy", connects=False),
    "03": Script(reason="voicemail_reached", dialogue="voicemail_message", verdict=_MESSAGE_LEFT),
    "04": Script(reason="voicemail_reached", dialogue="silence", talk_s=6.0, verdict=_HUNG_UP_ON_MACHINE),
    "05": Script(reason="user_hangup", dialogue="cut_short", talk_s=6.0, verdict=_CUT_SHORT),
    "06": Script(reason="invalid_destination", connects=False, rings=False),
    "07": Script(
        reason="agent_hangup",
        dialogue="callback",
        verdict=_CALLBACK,
        tool=Tool("reschedule_call", {"when": "tomorrow at 3pm", "reason": "busy at the moment"}),
    ),
    "08": Script(
        reason="agent_hangup",
        dialogue="opt_out",
        verdict=_OPTED_OUT,
        tool=Tool("set_disposition", {"code": "do_not_call", "note": "asked not to be called again"}),
    ),
    "09": Script(reason="agent_hangup", verdict=_GOAL_MET, webhooks="never"),
    "10": Script(reason="agent_hangup", verdict=_GOAL_MET, webhooks="twice_reversed"),
    "11": Script(reason="agent_hangup", verdict=_GOAL_MET, create="fails_after_ring"),
    "12": Script(reason="agent_hangup", verdict=_GOAL_MET, create="hangs_after_ring"),
    "13": Script(reason="agent_hangup", verdict=_GOAL_MET, create="throttles_twice"),
    "14": Script(reason="user_declined", connects=False),
    "15": Script(reason="call_transfer", dialogue="transfer", verdict=_TRANSFERRED),
    "16": Script(reason="agent_hangup", verdict=_GOAL_MET, analysis_s=60.0),
}


def scenario_of(to_number: str, metadata: dict[str, Any] | None) -> str:
    """The scenario's code: the metadata's own wish first, then the number's last two digits, else "00"."""
    wished = (metadata or {}).get(SCENARIO_KEY)
    if wished is not None:
        code = str(wished).zfill(2)
    else:
        fictional = _FICTIONAL_NUMBER.fullmatch(to_number)
        code = fictional.group(1) if fictional else "00"
    return code if code in SCENARIOS else "00"
