"""Scenarios of the emulated calls: the magic numbers of outbound calls, and the named scenarios of inbound calls.

A scenario is a row here and, if it says something new, an entry in dialogues.py. docs/emulator.md lists every scenario
with its expected result.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SCENARIO_KEY = "emulator_scenario"
_FICTIONAL_NUMBER = re.compile(r"\+1\d{3}55501(\d{2})")


@dataclass(frozen=True, slots=True)
class AgentFunction:
    """A custom function that the agent calls in the conversation, before the dialogue's next `{say}`.

    A `{{name}}` in the arguments is filled from the call's dynamic variables.
    With `args_at_root` the body is the arguments alone.
    With `first_answer_lost` the first try counts as timed out, even if it was answered.
    """

    name: str
    args: dict[str, Any]
    args_at_root: bool = False
    first_answer_lost: bool = False


@dataclass(frozen=True, slots=True)
class CallAnalysis:
    """The analysis of a connected call. `custom` is the custom analysis data."""

    successful: bool
    sentiment: Literal["Negative", "Positive", "Neutral", "Unknown"]
    summary: str
    in_voicemail: bool = False
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario. Times are emulated seconds; `title` is its title in docs/emulator.md.

    The functions are called in order, evenly spread over the conversation.
    """

    title: str
    disconnection_reason: str
    connects: bool = True
    rings: bool = True
    ring_s: float = 4.0
    talk_s: float = 20.0
    analysis_s: float = 2.0
    dialogue: str = "goal_met"
    analysis: CallAnalysis | None = None
    functions: tuple[AgentFunction, ...] = ()
    create: Literal["answers", "fails", "fails_after_ring", "hangs_after_ring", "throttles_twice"] = "answers"
    webhooks: Literal["once", "never", "twice_reversed"] = "once"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour of a called person. A time is in emulated seconds; None: that of the scenario."""

    scenario: str
    ring_s: float | None = None
    talk_s: float | None = None


_OFFER_ACCEPTED = CallAnalysis(
    True,
    "Positive",
    "The agent introduced the spring offer. The user was interested, confirmed the e-mail address on file and agreed "
    "to receive the contract today.",
    custom={"interest": "high", "callback_requested": False, "next_step": "send contract"},
)
_CUT_SHORT = CallAnalysis(
    False,
    "Negative",
    "The user said it was a bad moment and hung up before the agent could explain the offer.",
    custom={"interest": "low", "callback_requested": False},
)
_OPTED_OUT = CallAnalysis(
    False,
    "Negative",
    "The user asked not to be called again. The agent apologised and recorded the request.",
    custom={"interest": "low", "callback_requested": False, "do_not_call": True},
)
_CALLBACK = CallAnalysis(
    False,
    "Neutral",
    "The user was busy and asked to be called back tomorrow at 3pm. The agent arranged the callback.",
    custom={"interest": "medium", "callback_requested": True},
)
_CALLBACK_WITHDRAWN = CallAnalysis(
    False,
    "Neutral",
    "The user asked for a callback tomorrow at 3pm and then changed their mind. The agent cancelled the callback.",
    custom={"interest": "low", "callback_requested": False},
)
_MESSAGE_LEFT = CallAnalysis(
    False, "Unknown", "The call reached a voicemail box and the agent left its message.", in_voicemail=True
)
_NO_MESSAGE_LEFT = CallAnalysis(
    False, "Unknown", "The call reached a voicemail box and ended without a message.", in_voicemail=True
)
_TRANSFERRED = CallAnalysis(
    True,
    "Positive",
    "The user wanted to speak to a person about the details and was transferred to the sales team.",
    custom={"interest": "high", "callback_requested": False, "next_step": "sales team"},
)
_QUESTION_ANSWERED = CallAnalysis(
    True,
    "Positive",
    "The user called to ask about the lower monthly rate. The agent explained it and the user was content.",
    custom={"interest": "medium", "callback_requested": False},
)

_RESCHEDULE = AgentFunction("reschedule_call", {"when": "tomorrow at 3pm", "reason": "busy at the moment"})
_RESCHEDULE_VAGUELY = AgentFunction("reschedule_call", {"when": "tomorrow", "reason": "busy at the moment"})
_CANCEL_CALLBACK = AgentFunction("delete_scheduled_task", {"reason": "the person no longer wants a callback"})
_OPT_OUT = AgentFunction("set_disposition", {"code": "do_not_call", "note": "asked not to be called again"})
_WRITE_FIELDS = AgentFunction("field_writeback", {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}})
_NOTE = AgentFunction("note_writeback", {"note": "Prefers e-mail over letters; the contract runs until May."})
_NOTE_TWICE = replace(_NOTE, first_answer_lost=True)
_QUALIFIED = AgentFunction("send_abt_event", {"type": "lead_qualified", "data": {"interest": "high", "seats": 12}})
_EASTERN = AgentFunction("update_timezone", {"time_zone": "Eastern"})
_INTERESTED = AgentFunction("set_disposition", {"code": "interested", "note": "wants the contract today"})
_INTERESTED_AT_ROOT = replace(
    _INTERESTED, args={**_INTERESTED.args, "ringback_attempt_id": "{{ringback_attempt_id}}"}, args_at_root=True
)

_GOAL_MET = Scenario(title="answered, goal met", disconnection_reason="agent_hangup", analysis=_OFFER_ACCEPTED)
_NOTED = replace(_GOAL_MET, dialogue="details_noted")
_POSTPONED = Scenario(title="reschedules", disconnection_reason="agent_hangup", analysis=_CALLBACK)

MAGIC_NUMBERS: dict[str, Scenario] = {
    "00": _GOAL_MET,
    "01": Scenario(title="no answer", disconnection_reason="dial_no_answer", connects=False, ring_s=30.0),
    "02": Scenario(title="busy", disconnection_reason="dial_busy", connects=False),
    "03": Scenario(
        title="voicemail, message left",
        disconnection_reason="voicemail_reached",
        dialogue="voicemail_message",
        analysis=_MESSAGE_LEFT,
    ),
    "04": Scenario(
        title="voicemail, hung up",
        disconnection_reason="voicemail_reached",
        dialogue="silence",
        talk_s=6.0,
        analysis=_NO_MESSAGE_LEFT,
    ),
    "05": Scenario(
        title="answered, hangs up early",
        disconnection_reason="user_hangup",
        dialogue="cut_short",
        talk_s=6.0,
        analysis=_CUT_SHORT,
    ),
    "06": Scenario(
        title="accepted, then invalid_destination",
        disconnection_reason="invalid_destination",
        connects=False,
        rings=False,
    ),
    "07": replace(_POSTPONED, title="the agent reschedules", dialogue="callback", functions=(_RESCHEDULE,)),
    "08": Scenario(
        title="asks not to be called again",
        disconnection_reason="agent_hangup",
        dialogue="opt_out",
        analysis=_OPTED_OUT,
        functions=(_OPT_OUT,),
    ),
    "09": replace(_GOAL_MET, title="webhooks never arrive", webhooks="never"),
    "10": replace(_GOAL_MET, title="every webhook twice, in the wrong order", webhooks="twice_reversed"),
    "11": replace(_GOAL_MET, title="create answers 500 after it rang", create="fails_after_ring"),
    "12": replace(_GOAL_MET, title="create hangs after it rang", create="hangs_after_ring"),
    "13": replace(_GOAL_MET, title="create answers 429 twice", create="throttles_twice"),
    "14": Scenario(title="declined", disconnection_reason="user_declined", connects=False),
    "15": Scenario(
        title="transferred, successful",
        disconnection_reason="call_transfer",
        dialogue="transfer",
        analysis=_TRANSFERRED,
    ),
    "16": replace(_GOAL_MET, title="analysis very late", analysis_s=60.0),
    "17": replace(_NOTED, title="the agent writes fields", functions=(_WRITE_FIELDS,)),
    "18": replace(_NOTED, title="the agent writes a note", functions=(_NOTE,)),
    "19": replace(_NOTED, title="the agent sends a custom event", functions=(_QUALIFIED,)),
    "20": replace(
        _POSTPONED,
        title="the agent corrects the time zone, then reschedules",
        dialogue="callback_elsewhere",
        functions=(_EASTERN, _RESCHEDULE),
    ),
    "21": replace(
        _POSTPONED,
        title="the agent reschedules, then cancels the callback",
        dialogue="callback_withdrawn",
        analysis=_CALLBACK_WITHDRAWN,
        functions=(_RESCHEDULE, _CANCEL_CALLBACK),
    ),
    "22": replace(
        _GOAL_MET,
        title="all seven functions in one call",
        dialogue="everything_asked",
        functions=(_EASTERN, _WRITE_FIELDS, _NOTE, _QUALIFIED, _RESCHEDULE, _CANCEL_CALLBACK, _INTERESTED),
    ),
    "23": replace(_NOTED, title="a function times out and is tried again", functions=(_NOTE_TWICE,)),
    "24": replace(_NOTED, title="a function's arguments at the root", functions=(_INTERESTED_AT_ROOT,)),
    "25": replace(
        _POSTPONED,
        title="the reschedule is refused first and asked again",
        dialogue="callback_clarified",
        functions=(_RESCHEDULE_VAGUELY, _RESCHEDULE),
    ),
    "26": replace(_GOAL_MET, title="create answers 500, and nothing rings", create="fails"),
}

_ANSWERED_BY_AGENT = Scenario(
    title="a question is answered",
    disconnection_reason="user_hangup",
    ring_s=1.0,
    dialogue="inbound_question",
    analysis=_QUESTION_ANSWERED,
)

INBOUND: dict[str, Scenario] = {
    "talk": _ANSWERED_BY_AGENT,
    "tools": replace(
        _ANSWERED_BY_AGENT,
        title="the agent writes fields and a note and files the call",
        dialogue="inbound_details",
        functions=(_WRITE_FIELDS, _NOTE, _INTERESTED),
    ),
    "reschedule": replace(
        _ANSWERED_BY_AGENT,
        title="the caller moves the callback",
        dialogue="inbound_callback",
        analysis=_CALLBACK,
        functions=(_RESCHEDULE,),
    ),
    "opt_out": replace(
        _ANSWERED_BY_AGENT,
        title="the caller asks not to be called again",
        dialogue="inbound_opt_out",
        analysis=_OPTED_OUT,
        functions=(_OPT_OUT,),
    ),
    "hang_up": replace(
        _ANSWERED_BY_AGENT,
        title="the caller hangs up early",
        talk_s=6.0,
        dialogue="inbound_cut_short",
        analysis=_CUT_SHORT,
    ),
}

SCENARIOS = MAGIC_NUMBERS | INBOUND


def scenario_of(to_number: str, metadata: dict[str, Any] | None) -> str:
    """Return the scenario's code: from the metadata, else from the number's last two digits, else "00"."""
    requested = (metadata or {}).get(SCENARIO_KEY)
    if requested is not None:
        code = str(requested).zfill(2)
    else:
        fictional = _FICTIONAL_NUMBER.fullmatch(to_number)
        code = fictional.group(1) if fictional else "00"
    return code if code in MAGIC_NUMBERS else "00"
