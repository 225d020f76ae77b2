"""A webhook comes in: what is accepted, what is refused, and what the queue gets."""

import json

import pytest

from ringback.flows.webhook_intake import MAX_BODY_BYTES, Intake, IntakePorts, read_webhook
from ringback.messages import MAX_MESSAGE_BYTES, decode_webhook_received

BODY = '{"event":"call_ended","call":{"call_id":"call_ünï","disconnection_reason":"dial_no_answer"}}'
NOW_MS = 1_760_000_000_123


def read(body, *, genuine=True, names=("call_ended", "call_1")):
    def verify(raw, signature, at_ms):
        return genuine and (signature, at_ms) == ("signed", NOW_MS)

    ports = IntakePorts(lambda signature, at_ms: True, verify, lambda text: names)
    return read_webhook(body, "signed", NOW_MS, ports)


def test_a_genuine_webhook_becomes_a_message_as_it_was_signed():
    message = decode_webhook_received(read(BODY.encode()).message)
    assert (message.body, message.received_at) == (BODY, "2025-10-09T08:53:20.123000+00:00")
    assert (message.provider_call_id, message.event) == (None, None)


def test_a_forged_webhook_becomes_no_message():
    assert read(BODY.encode(), genuine=False) is Intake.FORGED


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"event"', b"\xff{}", b"{}\xc3"])
def test_a_signed_body_that_is_no_object_becomes_no_message(body):
    assert read(body) is Intake.MALFORMED


def test_a_body_over_six_mebibytes_is_refused_before_it_is_hashed():
    def hashed(raw, signature, at_ms):
        raise AssertionError

    ports = IntakePorts(lambda signature, at_ms: True, hashed, lambda text: None)
    assert read_webhook(b"{" * (MAX_BODY_BYTES + 1), "signed", NOW_MS, ports) is Intake.TOO_LARGE


def padded(size):
    """A body whose message for the queue has exactly this many bytes."""
    frame = '{"event":"call_ended","call":{"call_id":"call_1"},"p":"%s"}'
    empty = read((frame % "").encode()).message
    return (frame % ("x" * (size - len(empty.encode())))).encode()


def test_the_largest_body_the_queue_takes_travels_whole():
    message = read(padded(MAX_MESSAGE_BYTES)).message
    assert len(message.encode()) == MAX_MESSAGE_BYTES
    assert decode_webhook_received(message).body is not None


def test_a_body_over_the_queues_limit_travels_as_its_names():
    message = decode_webhook_received(read(padded(MAX_MESSAGE_BYTES + 1)).message)
    assert (message.body, message.provider_call_id, message.event) == (None, "call_1", "call_ended")


def test_a_body_over_the_queues_limit_without_names_is_refused():
    assert read(padded(MAX_MESSAGE_BYTES + 1), names=None) is Intake.MALFORMED


def test_characters_that_queues_refuse_arrive_escaped_and_decode_to_the_signed_body():
    body = '{"event":"e","p":"\ufffe\uffff\U0001fffe \x7f\t"}'
    message = read(body.encode()).message
    assert not {"\ufffe", "\uffff"} & set(message)
    assert decode_webhook_received(message).body == body
    assert json.loads(message)["type"] == "WebhookReceived"
