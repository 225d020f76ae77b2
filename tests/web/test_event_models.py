"""The schemas of ABT events: their files are what the models say, and they refuse what is no event."""

import copy
import json

import pytest
from jsonschema_rs import Draft202012Validator, meta

from ringback.domain.abt_event import AbtType, FailReason
from ringback.web.event_models import EVENT_MODELS, REASONS
from ringback.web.event_reference import SCHEMAS, read_examples, schema_text
from tests.event_schemas import checked_event, schema

EXAMPLES = read_examples()


def test_there_is_one_file_for_every_type_and_one_for_custom_events():
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {*AbtType, "custom_event"} == set(EVENT_MODELS)
    assert set(REASONS) == set(FailReason)


@pytest.mark.parametrize("name", EVENT_MODELS)
def test_a_file_is_what_the_model_says(name):
    """`python -m ringback.web.event_reference docs/engage.md` writes the files anew."""
    assert (SCHEMAS / f"{name}.json").read_text() == schema_text(name)


@pytest.mark.parametrize("name", EVENT_MODELS)
def test_a_schema_is_of_draft_2020_12_and_complete_in_itself(name):
    own = schema(name)
    assert own["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    meta.validate(own)
    references = {line for line in json.dumps(own).split('"') if line.startswith("#/")}
    assert references <= {f"#/$defs/{part}" for part in own["$defs"]}


@pytest.mark.parametrize("stream", EXAMPLES)
def test_every_example_is_valid(stream):
    for event in EXAMPLES[stream]:
        checked_event(event)


WRONG = {
    "another type": ("completed", {"type": "voice_ai_call_ended"}),
    "no data": ("completed", {"data": None}),
    "a time without milliseconds": ("completed", {"time": "2026-12-01T17:01:29Z"}),
    "an unknown reason": ("failed_busy", {"data": {"reason": "engaged"}}),
    "a retry without its time": ("failed_busy", {"data": {"next_attempt_at": None}}),
    "a final event with a retry": ("failed_busy", {"data": {"is_final": True}}),
    "a time without a retry": ("failed_ivr", {"data": {"next_attempt_at": "2026-12-01T17:01:29.000Z"}}),
    "a correction without its number": ("completed", {"data": {"corrects": "x"}}),
    "a number without a correction": ("failed_ivr", {"data": {"revision": 1}}),
    "a final voicemail with a retry": ("retried_voicemail", {"data": {"is_final": True}}),
    "a member that no schema names": ("completed", {"data": {"mood": "good"}}),
    "an attempt without a number": ("completed", {"data": {"attempt": None}}),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_event_is_found(fault):
    name, changes = WRONG[fault]
    event = copy.deepcopy(EXAMPLES[name][-1])
    data = changes.get("data", {})
    event |= changes | {"data": event["data"] | data if data is not None else None}
    with pytest.raises((AssertionError, FileNotFoundError)):
        checked_event(event)


def test_receivers_have_room_for_members_of_later_versions():
    event = copy.deepcopy(EXAMPLES["completed"][-1])
    event["data"]["mood"] = event["traceparent"] = "new"
    assert Draft202012Validator(schema("voice_ai_call_completed")).is_valid(event)


def test_a_pending_event_of_an_erased_person_is_valid():
    event = copy.deepcopy(EXAMPLES["completed"][-1])
    for member in ("analysis", "provider_call_id"):
        del event["data"][member]
    event["data"]["metadata"] = {}
    checked_event(event)
