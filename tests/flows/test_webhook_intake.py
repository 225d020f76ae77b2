"""A webhook comes in: what is accepted, what is refused, and what the queue gets."""

import json

import pytest

from ringback.domain.errors import QueueUnavailable, StoreUnavailable
from ringback.flows.webhook_intake import MAX_BODY_BYTES, Intake, IntakePorts, take_in_webhook
from ringback.messages import MAX_MESSAGE_BYTES, decode_webhook_received

BODY = '{"event":"call_ended","call":{"call_id":"call_ünï","disconnection_reason":"dial_no_answer"}}'
NOW_MS = 1_760_000_000_123


def intake(body, send, *, genuine=True, names=("call_ended", "call_1")):
    ports = IntakePorts(lambda raw, signature: genuine and signature == "signed", lambda text: names, send)
    return take_in_webhook(body, "signed", NOW_MS, ports)


def test_a_genuine_webhook_is_enqueued_as_it_was_signed():
    sent = []
    assert intake(BODY.encode(), sent.append) is Intake.ACCEPTED
    message = decode_webhook_received(sent[0])
    assert (message.body, message.received_at) == (BODY, "2025-10-09T08:53:20.123000+00:00")
    assert (message.provider_call_id, message.event) == (None, None)


def test_a_forged_webhook_writes_nothing():
    sent = []
    assert intake(BODY.encode(), sent.append, genuine=False) is Intake.FORGED
    assert sent == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"event"', b"\xff{}", b"{}\xc3"])
def test_a_signed_body_that_is_no_object_writes_nothing(body):
    sent = []
    assert intake(body, sent.append) is Intake.MALFORMED
    assert sent == []


def test_a_body_over_six_mebibytes_is_refused_before_it_is_hashed():
    def hashed(raw, signature):
        raise AssertionError

    ports = IntakePorts(hashed, lambda text: None, lambda message: None)
    assert take_in_webhook(b"{" * (MAX_BODY_BYTES + 1), "signed", NOW_MS, ports) is Intake.TOO_LARGE


@pytest.mark.parametrize("error", [QueueUnavailable("away"), StoreUnavailable("away")])
def test_a_queue_that_does_not_take_it_means_not_accepted(error):
    def send(message):
        raise error

    assert intake(BODY.encode(), send) is Intake.QUEUE_DOWN


def padded(size):
    """A body whose message for the queue has exactly this many bytes."""
    sent = []
    frame = '{"event":"call_ended","call":{"call_id":"call_1"},"p":"%s"}'
    intake((frame % "").encode(), sent.append)
    return (frame % ("x" * (size - len(sent[0].encode())))).encode()


def test_the_largest_body_the_queue_takes_travels_whole():
    sent = []
    assert intake(padded(MAX_MESSAGE_BYTES), sent.append) is Intake.ACCEPTED
    assert len(sent[0].encode()) == MAX_MESSAGE_BYTES
    assert decode_webhook_received(sent[0]).body is not None


def test_a_body_over_the_queues_limit_travels_as_its_names():
    sent = []
    assert intake(padded(MAX_MESSAGE_BYTES + 1), sent.append) is Intake.ACCEPTED
    message = decode_webhook_received(sent[0])
    assert (message.body, message.provider_call_id, message.event) == (None, "call_1", "call_ended")


def test_a_body_over_the_queues_limit_without_names_is_refused():
    sent = []
    assert intake(padded(MAX_MESSAGE_BYTES + 1), sent.append, names=None) is Intake.MALFORMED
    assert sent == []


def test_characters_that_queues_refuse_arrive_escaped_and_decode_to_the_signed_body():
    sent = []
    body = '{"event":"e","p":"\ufffe\uffff\U0001fffe \x7f\t"}'
    assert intake(body.encode(), sent.append) is Intake.ACCEPTED
    assert not {"\ufffe", "\uffff"} & set(sent[0])
    assert decode_webhook_received(sent[0]).body == body
    assert json.loads(sent[0])["type"] == "WebhookReceived"
