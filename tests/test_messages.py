"""The wire contracts of both queues: readable messages, messages of another version, unreadable ones."""

import json

import pytest

from ringback.domain.errors import AnotherVersion, Permanent
from ringback.messages import (
    CallRequested,
    WebhookReceived,
    decode_call_requested,
    decode_webhook_received,
    encode,
)

CALL = {"type": "CallRequested", "v": 1, "call_id": "call-1", "task_id": "task-1", "dispatch": 3}
WEBHOOK = {"type": "WebhookReceived", "v": 1, "received_at": "2026-12-01T17:00:00Z", "body": "{}"}


def test_a_decoded_message_equals_the_encoded_one():
    call = CallRequested("call-1", "task-1", 3)
    webhook = WebhookReceived("2026-12-01T17:00:00Z", None, "call_abc", "call_ended")
    assert decode_call_requested(encode(call)) == call
    assert decode_webhook_received(encode(webhook)) == webhook


def test_decoding_ignores_a_field_of_a_newer_version():
    assert decode_call_requested(json.dumps({**CALL, "priority": 1})) == CallRequested("call-1", "task-1", 3)
    assert decode_webhook_received(json.dumps({**WEBHOOK, "region": "eu"})) == WebhookReceived(
        "2026-12-01T17:00:00Z", "{}"
    )


@pytest.mark.parametrize("message", [{**CALL, "v": 2}, {"type": "CampaignStarted", "v": 1}, {"type": "Other", "v": 7}])
def test_a_message_of_a_newer_version_raises_another_version(message):
    for decode in (decode_call_requested, decode_webhook_received):
        with pytest.raises(AnotherVersion):
            decode(json.dumps(message))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        json.dumps(WEBHOOK),  # on the wrong queue
        json.dumps({**CALL, "v": 0}),
        json.dumps({**CALL, "v": "2"}),
        json.dumps({"v": 2}),
        json.dumps({**CALL, "dispatch": None}),
        json.dumps({"type": "CallRequested", "v": 1, "call_id": "call-1"}),
    ],
)
def test_an_unreadable_message_is_permanent(text):
    with pytest.raises(Permanent):
        decode_call_requested(text)


def test_a_webhook_without_its_fields_is_permanent():
    with pytest.raises(Permanent):
        decode_webhook_received(json.dumps({"type": "WebhookReceived", "v": 1}))
