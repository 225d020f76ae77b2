"""The actions declare their arguments and replies in one place; the document and the endpoints come from it."""

import json
import re
from pathlib import Path

import pytest

from ringback.domain.catalog import built_in_catalog
from ringback.flows.business_operations import declarations
from ringback.web.action_reference import COMMON_CODES, reference

ROOT = Path(__file__).parents[2]
ACTIONS = ROOT / "src/ringback/flows/business_operations"
DECLARED = {one.name: one for one in declarations(built_in_catalog())}


def test_the_document_is_the_one_that_the_code_makes():
    assert (ROOT / "docs/actions.md").read_text() == reference(DECLARED.values())


def test_there_are_nine_and_agents_get_seven():
    assert set(DECLARED) == {
        "field_writeback",
        "reschedule_call",
        "delete_scheduled_task",
        "update_timezone",
        "incoming_call",
        "set_disposition",
        "send_abt_event",
        "call_analysed",
        "note_writeback",
    }
    not_for_agents = {name for name, one in DECLARED.items() if not one.for_agents}
    assert not_for_agents == {"incoming_call", "call_analysed"}


@pytest.mark.parametrize("name", DECLARED)
def test_every_code_that_an_action_answers_is_declared(name):
    source = (ACTIONS / f"{name}.py").read_text()
    answered = set(re.findall(r'(?:ActionError|_reply|Reply)\(\s*(?:True, )?"([a-z_]+)"', source))
    assert answered - set(COMMON_CODES) <= set(DECLARED[name].codes)


@pytest.mark.parametrize("name", DECLARED)
def test_the_arguments_are_a_schema_that_refuses_what_it_does_not_name(name):
    schema = DECLARED[name].arguments
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert set(schema["required"]) <= set(schema["properties"])
    assert json.loads(json.dumps(schema)) == schema


def test_the_catalogue_is_in_the_declarations():
    choices = DECLARED["set_disposition"].arguments["properties"]["code"]["enum"]
    assert choices == list(built_in_catalog().dispositions)
    fields = DECLARED["field_writeback"].arguments["properties"]["fields"]["properties"]
    told = "How interested the person is."
    assert fields["interest"] == {"type": "string", "enum": ["low", "medium", "high"], "description": told}
