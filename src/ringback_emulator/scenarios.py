"""The scenarios: the magic numbers of calls placed by the API, and the named courses of calls from outside.

A scenario is a row here and, if it says something new, an entry in dialogues.py; docs/emulator.md lists each with what
a client should make of it.
"""

import re
from dataclasses import replace
from typing import Any

from ringback_emulator import verdicts
from ringback_emulator.script import Script, Tool

SCENARIO_KEY = "emulator_scenario"
_FICTIONAL_NUMBER = re.compile(r"\+1\d{3}55501(\d{2})")

_RESCHEDULE = Tool(name="reschedule_call", args={"when": "tomorrow at 3pm", "reason": "busy at the moment"})
_RESCHEDULE_VAGUELY = Tool(name="reschedule_call", args={"when": "tomorrow", "reason": "busy at the moment"})
_CANCEL_CALLBACK = Tool(name="delete_scheduled_task", args={"reason": "the person no longer wants a callback"})
_OPT_OUT = Tool(name="set_disposition", args={"code": "do_not_call", "note": "asked not to be called again"})
_WRITE_FIELDS = Tool(name="field_writeback", args={"fields": {"email": "ada.lovelace@example.com", "interest": "high"}})
_NOTE = Tool(name="note_writeback", args={"note": "Prefers e-mail over letters; the contract runs until May."})
_NOTE_TWICE = replace(_NOTE, first_answer_lost=True)
_QUALIFIED = Tool(name="send_abt_event", args={"type": "lead_qualified", "data": {"interest": "high", "seats": 12}})
_EASTERN = Tool(name="update_timezone", args={"time_zone": "Eastern"})
_INTERESTED = Tool(name="set_disposition", args={"code": "interested", "note": "wants the contract today"})
_INTERESTED_AT_ROOT = replace(
    _INTERESTED, args={**_INTERESTED.args, "ringback_attempt_id": "{{ringback_attempt_id}}"}, args_at_root=True
)

_GOAL_MET = Script(title="answered, goal met", reason="agent_hangup", verdict=verdicts.GOAL_MET)
_NOTED = replace(_GOAL_MET, dialogue="details_noted")
_POSTPONED = Script(title="reschedules", reason="agent_hangup", verdict=verdicts.CALLBACK)

MAGIC_NUMBERS: dict[str, Script] = {
    "00": _GOAL_MET,
    "01": Script(title="no answer", reason="dial_no_answer", connects=False, ring_s=30.0),
    "02": Script(title="busy", reason="dial_busy", connects=False),
    "03": Script(
        title="voicemail, message left",
        reason="voicemail_reached",
        dialogue="voicemail_message",
        verdict=verdicts.MESSAGE_LEFT,
    ),
    "04": Script(
        title="voicemail, hung up",
        reason="voicemail_reached",
        dialogue="silence",
        talk_s=6.0,
        verdict=verdicts.HUNG_UP_ON_MACHINE,
    ),
    "05": Script(
        title="answered, hangs up early",
        reason="user_hangup",
        dialogue="cut_short",
        talk_s=6.0,
        verdict=verdicts.CUT_SHORT,
    ),
    "06": Script(title="accepted, then invalid_destination", reason="invalid_destination", connects=False, rings=False),
    "07": replace(_POSTPONED, title="the agent reschedules", dialogue="callback", tools=(_RESCHEDULE,)),
    "08": Script(
        title="asks not to be called again",
        reason="agent_hangup",
        dialogue="opt_out",
        verdict=verdicts.OPTED_OUT,
        tools=(_OPT_OUT,),
    ),
    "09": replace(_GOAL_MET, title="webhooks never arrive", webhooks="never"),
    "10": replace(_GOAL_MET, title="every webhook twice, in the wrong order", webhooks="twice_reversed"),
    "11": replace(_GOAL_MET, title="create answers 500 after it rang", create="fails_after_ring"),
    "12": replace(_GOAL_MET, title="create hangs after it rang", create="hangs_after_ring"),
    "13": replace(_GOAL_MET, title="create answers 429 twice", create="throttles_twice"),
    "14": Script(title="declined", reason="user_declined", connects=False),
    "15": Script(
        title="transferred, successful", reason="call_transfer", dialogue="transfer", verdict=verdicts.TRANSFERRED
    ),
    "16": replace(_GOAL_MET, title="analysis very late", analysis_s=60.0),
    "17": replace(_NOTED, title="the agent writes fields", tools=(_WRITE_FIELDS,)),
    "18": replace(_NOTED, title="the agent writes a note", tools=(_NOTE,)),
    "19": replace(_NOTED, title="the agent sends a custom event", tools=(_QUALIFIED,)),
    "20": replace(
        _POSTPONED,
        title="the agent corrects the time zone, then reschedules",
        dialogue="callback_elsewhere",
        tools=(_EASTERN, _RESCHEDULE),
    ),
    "21": replace(
        _POSTPONED,
        title="the agent reschedules, then cancels the callback",
        dialogue="callback_withdrawn",
        verdict=verdicts.CALLBACK_WITHDRAWN,
        tools=(_RESCHEDULE, _CANCEL_CALLBACK),
    ),
    "22": replace(
        _GOAL_MET,
        title="all seven functions in one call",
        dialogue="everything_asked",
        tools=(_EASTERN, _WRITE_FIELDS, _NOTE, _QUALIFIED, _RESCHEDULE, _CANCEL_CALLBACK, _INTERESTED),
    ),
    "23": replace(_NOTED, title="a function times out and is tried again", tools=(_NOTE_TWICE,)),
    "24": replace(_NOTED, title="a function's arguments at the root", tools=(_INTERESTED_AT_ROOT,)),
    "25": replace(
        _POSTPONED,
        title="the reschedule is refused first and asked again",
        dialogue="callback_clarified",
        tools=(_RESCHEDULE_VAGUELY, _RESCHEDULE),
    ),
}

_ANSWERED_BY_AGENT = Script(
    title="a question is answered",
    reason="user_hangup",
    ring_s=1.0,
    dialogue="inbound_question",
    verdict=verdicts.QUESTION_ANSWERED,
)

INBOUND: dict[str, Script] = {
    "talk": _ANSWERED_BY_AGENT,
    "tools": replace(
        _ANSWERED_BY_AGENT,
        title="the agent writes fields and a note and files the call",
        dialogue="inbound_details",
        tools=(_WRITE_FIELDS, _NOTE, _INTERESTED),
    ),
    "reschedule": replace(
        _ANSWERED_BY_AGENT,
        title="the caller moves the callback",
        dialogue="inbound_callback",
        verdict=verdicts.CALLBACK,
        tools=(_RESCHEDULE,),
    ),
    "opt_out": replace(
        _ANSWERED_BY_AGENT,
        title="the caller asks not to be called again",
        dialogue="inbound_opt_out",
        verdict=verdicts.OPTED_OUT,
        tools=(_OPT_OUT,),
    ),
    "hang_up": replace(
        _ANSWERED_BY_AGENT,
        title="the caller hangs up early",
        talk_s=6.0,
        dialogue="inbound_cut_short",
        verdict=verdicts.CUT_SHORT,
    ),
}

SCENARIOS = MAGIC_NUMBERS | INBOUND


def scenario_of(to_number: str, metadata: dict[str, Any] | None) -> str:
    """The scenario's code: the metadata's own wish first, then the number's last two digits, else "00"."""
    wished = (metadata or {}).get(SCENARIO_KEY)
    if wished is not None:
        code = str(wished).zfill(2)
    else:
        fictional = _FICTIONAL_NUMBER.fullmatch(to_number)
        code = fictional.group(1) if fictional else "00"
    return code if code in MAGIC_NUMBERS else "00"
