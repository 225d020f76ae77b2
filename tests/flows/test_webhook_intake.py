"""A webhook comes in: what is accepted, what is refused, and what the queue gets."""

import json
import random

import pytest

from ringback.flows.webhook_intake import Intake, IntakePorts, read_webhook
from ringback.messages import (
    COMPRESSED_START,
    MAX_BODY_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PLAIN_BYTES,
    decode_webhook_received,
)

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


def noise_of(size):
    """A body of this many bytes that zlib makes about half as long, and no shorter."""
    frame = '{"event":"call_ended","call":{"call_id":"call_1"},"p":"%s"}'
    empty = len(frame % "")
    return (frame % random.Random(20261129).randbytes(size)[: (size - empty) // 2].hex()).encode()


def talk_of(size):
    """A body as Retell sends it after a conversation, of at least this many bytes."""
    words = ["about", "billing", "call", "date", "email", "insurance", "monday", "really", "thank", "visit"]
    turns, dice = [], random.Random(7)
    while len(turns) * 110 < size:
        turns.append({"role": "user", "content": " ".join(dice.choice(words) for _ in range(15)), "n": len(turns)})
    return json.dumps({"event": "call_ended", "call": {"call_id": "call_1", "transcript_object": turns}}).encode()


@pytest.mark.parametrize("size", [MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1])
def test_only_a_body_over_32_kib_is_compressed(size):
    body = b'{"p":"' + b"x" * (size - 8) + b'"}'
    assert len(body) == size
    message = read(body).message
    assert message.startswith(COMPRESSED_START) is (size > MAX_PLAIN_BYTES)
    assert decode_webhook_received(message).body == body.decode()


def test_a_body_of_one_byte_characters_that_json_escapes_sixfold_fits_the_queue_uncompressed():
    body = b'{"p":"' + b"\x01" * (MAX_PLAIN_BYTES - 8) + b'"}'
    assert len(read(body).message) <= MAX_MESSAGE_BYTES


def test_a_conversation_of_500_kb_travels_whole():
    body = talk_of(500_000)
    message = read(body).message
    assert len(body) >= 500_000
    assert len(message) <= MAX_MESSAGE_BYTES
    assert decode_webhook_received(message).body == body.decode()


@pytest.mark.parametrize("limit", [1024, 64 * 1024, 1024 * 1024])
def test_another_limit_of_the_queue_is_kept_too(limit):
    """A body that is escaped sixfold and one that hardly compresses: each fits, or travels as its names."""
    ports = IntakePorts(lambda *_: True, lambda *_: True, lambda _: ("call_ended", "call_1"), max_message_bytes=limit)
    for body in (b'{"p":"' + b"\x01" * 30_000 + b'"}', noise_of(400_000), noise_of(2_000_000)):
        message = read_webhook(body, "signed", NOW_MS, ports).message
        assert len(message) <= limit
    message = read_webhook(noise_of(400_000), "signed", NOW_MS, ports).message
    assert (decode_webhook_received(message).body is not None) is (limit == 1024 * 1024)


def test_the_limit_of_the_queue_is_kept_to_the_byte():
    """Bodies around the largest that travels whole: each fits, or travels as its names."""
    whole = []
    for size in range(320_000, 362_000, 2_000):
        message = read(noise_of(size)).message
        assert len(message) <= MAX_MESSAGE_BYTES
        whole.append(decode_webhook_received(message).body is not None)
    assert whole == sorted(whole, reverse=True)
    assert {True, False} == set(whole)


def test_a_body_that_is_too_large_even_compressed_travels_as_its_names():
    message = decode_webhook_received(read(noise_of(600_000)).message)
    assert (message.body, message.provider_call_id, message.event) == (None, "call_1", "call_ended")


def test_a_body_that_is_too_large_even_compressed_and_has_no_names_is_refused():
    assert read(noise_of(600_000), names=None) is Intake.MALFORMED


def test_the_signature_is_checked_on_the_bytes_that_were_signed():
    body, signed = talk_of(100_000), []

    def verify(raw, signature, at_ms):
        signed.append(raw)
        return True

    read_webhook(body, "signed", NOW_MS, IntakePorts(lambda *_: True, verify, lambda text: None))
    assert signed == [body]


def test_characters_that_queues_refuse_arrive_escaped_and_decode_to_the_signed_body():
    body = '{"event":"e","p":"\ufffe\uffff\U0001fffe \x7f\t"}'
    message = read(body.encode()).message
    assert not {"\ufffe", "\uffff"} & set(message)
    assert decode_webhook_received(message).body == body
    assert json.loads(message)["type"] == "WebhookReceived"
