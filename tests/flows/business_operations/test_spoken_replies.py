"""The sentences that an agent speaks: no name of the catalogue or of an argument, no key, no format."""

import re

import pytest

from ringback.domain.catalog import TOOLS, parse_catalog
from ringback.flows.business_operations import declarations

#: Names that are no English word, so that none can stand in a sentence by chance.
CATALOG = """
[dispositions.zz_liked]
description = "Zzqdescription of a code."
[dispositions.do_not_call]
suppresses = true
[fields]
zzfield = { type = "number", description = "Zzqdescription of a field." }
zz_mail = "email"
zz_at = "instant"
zz_flag = "boolean"
zz_choice = ["zzlow", "zzhigh"]
zz_text = "text"
[events.zz_event]
[events.zz_event.data]
zz_amount = { type = "number", required = true, description = "Zzqdescription of a member." }
[events.zz_other]
"""
WRONG = [
    None,
    "",
    "zzz",
    "2k",
    7,
    True,
    [],
    ["zz"],
    {},
    {"zz": 1},
    "a\0b",
    "x" * 6000,
    "2026-12-01T17:00:00Z",
    "\ud800",
]
WORDS = ["tomorrow", "yesterday at 3pm", "in a minute", "in 60 days", "at 3", "3pm", "Mars", "CST", "noon", "next week"]
FIELDS = [{"zzfield": "x", "zz_mail": "x", "zz_at": "x", "zz_flag": "x", "zz_choice": "x", "zz_text": 7}, {"zz_no": 1}]
DATA = [{"zz_amount": "x"}, {"call_id": "c"}, {"zz_no": 1}, {"zz_amount": 1, "zz_no": 1}]
ASKED = {
    "field_writeback": [{"fields": one} for one in [*WRONG, *FIELDS, FIELDS[0] | {"zz_text": "fine"}]],
    "send_abt_event": [
        {"type": type_, "data": data}
        for type_ in [*WRONG, "zz_event", "zz_other", "voice_ai_call_completed"]
        for data in [*WRONG, *DATA]
    ],
    "set_disposition": [{"code": one, "note": one} for one in [*WRONG, "zz liked", "do_not_call", "zz_liked"]],
    "reschedule_call": [{"when": one, "reason": one} for one in [*WRONG, *WORDS]],
    "update_timezone": [{"time_zone": one, "source": one} for one in [*WRONG, *WORDS]],
    "note_writeback": [{"note": one} for one in WRONG],
    "delete_scheduled_task": [{"reason": one} for one in WRONG],
}
FORBIDDEN = {
    "a name with an underscore": re.compile(r"\w_\w"),
    "a time in ISO form": re.compile(r"\d{4}-\d{2}-\d{2}|\d{2}:\d{2}:\d{2}"),
    "a word of programs": re.compile(
        r"\b(field|fields|key|keys|format|JSON|null|string|boolean|argument|schema|id)\b", re.I
    ),
    "a name of the catalogue": re.compile("zz", re.I),
    "a mark of code": re.compile(r"[`{}\[\]<>=]|\$"),
}


def test_every_function_of_an_agent_is_asked():
    agents = {one.name for one in declarations(parse_catalog(CATALOG)) if one.for_agents}
    assert set(ASKED) == set(TOOLS) == agents


@pytest.mark.parametrize("action", ASKED)
def test_a_sentence_for_a_person_names_nothing_of_programs(rehearse, action):
    replies = [rehearse(CATALOG, action, args) for args in (*ASKED[action], {}, {"zz_unknown": 1})]
    said = {reply.say for reply in replies}
    assert {what: found for what, one in FORBIDDEN.items() if (found := [say for say in said if one.search(say)])} == {}
    assert all(say[0].isupper() and say[-1] in ".?" and len(say) <= 160 for say in said)


@pytest.mark.parametrize("action", ["field_writeback", "send_abt_event", "set_disposition", "update_timezone"])
async def test_nor_does_one_that_needs_a_conversation(stack, action):
    talk = await stack.talk()
    wrong = [{}, {"fields": {"shoe_size": 1}}, {"type": "x"}, {"code": "x"}, {"time_zone": "CST"}]
    replies = [await stack.tool(talk, action, args) for args in wrong]
    replies += [await stack.ask(action, args, contact_id="crm-42") for args in wrong]
    assert [reply.say for reply in replies if any(one.search(reply.say) for one in FORBIDDEN.values())] == []
