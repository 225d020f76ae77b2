"""The wire contracts of both queues: readable messages, messages of another version, unreadable ones."""

import base64
import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.errors import AnotherVersion, Permanent
from ringback.messages import (
    MAX_BODY_BYTES,
    MAX_MESSAGE_BYTES,
    CallRequested,
    WebhookReceived,
    decode_call_requested,
    decode_webhook_received,
    encode,
    encode_webhook,
)
from tests.previous_messages import decode_webhook_received as previous_decode_webhook_received

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
        json.dumps({**WEBHOOK, "v": 2, "deflated": ""}),  # likewise, compressed
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


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)  # UTF-8 has no surrogates


@given(text=TEXTS, times=st.sampled_from([1, 40, 4_000]), seed=st.integers(0, 9), noise=st.sampled_from([0, 20_000]))
def test_every_body_arrives_byte_for_byte(text, times, seed, noise):
    body = "{" + text * times + random.Random(seed).randbytes(noise).hex() + "}"
    message = encode_webhook("2026-12-01T17:00:00Z", body)
    if message is None:
        assert len(body.encode()) > MAX_MESSAGE_BYTES // 2
        return
    assert message.isascii()
    assert len(message) <= MAX_MESSAGE_BYTES
    decoded = decode_webhook_received(message)
    assert (decoded.received_at, decoded.body.encode()) == ("2026-12-01T17:00:00Z", body.encode())


def compressed(deflated):
    """A message of the compressed form with these bytes."""
    text = base64.b64encode(deflated).decode() if isinstance(deflated, bytes) else deflated
    return json.dumps({"type": "WebhookReceived", "v": 2, "received_at": "2026-12-01T17:00:00Z", "deflated": text})


def test_the_largest_body_of_the_receiver_is_inflated_and_none_larger():
    assert len(decode_webhook_received(compressed(zlib.compress(b"x" * MAX_BODY_BYTES))).body) == MAX_BODY_BYTES
    with pytest.raises(Permanent, match="longer than"):
        decode_webhook_received(compressed(zlib.compress(b"x" * (MAX_BODY_BYTES + 1))))


def test_a_few_kilobytes_that_stand_for_much_more_are_not_inflated():
    bomb = zlib.compress(b"0" * 24 * MAX_BODY_BYTES, 9)
    assert len(bomb) < 160_000
    with pytest.raises(Permanent, match="longer than"):
        decode_webhook_received(compressed(bomb))


GOOD = zlib.compress(b'{"event":"call_ended"}' * 2_000)


@pytest.mark.parametrize(
    "deflated",
    [
        *(GOOD[:end] for end in range(len(GOOD))),
        GOOD + b"more",
        GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
        b"\x00" + GOOD[1:],
        zlib.compress(b"\xff\xfe"),
        "%%%",
        "ü",
        None,
        17,
    ],
)
def test_a_damaged_compressed_body_is_permanent_and_its_reason_has_no_content(deflated):
    with pytest.raises(Permanent) as raised:
        decode_webhook_received(compressed(deflated))
    assert "call_ended" not in str(raised.value)


def test_a_compressed_webhook_without_its_fields_is_permanent():
    for missing in ({"received_at": "2026-12-01T17:00:00Z"}, {"deflated": base64.b64encode(GOOD).decode()}):
        with pytest.raises(Permanent):
            decode_webhook_received(json.dumps({"type": "WebhookReceived", "v": 2, **missing}))


def test_the_previous_version_gives_a_compressed_webhook_back():
    message = encode_webhook("2026-12-01T17:00:00Z", "{" + "x" * 100_000 + "}")
    with pytest.raises(AnotherVersion):
        previous_decode_webhook_received(message)
    plain = encode_webhook("2026-12-01T17:00:00Z", "{}")
    assert previous_decode_webhook_received(plain) == decode_webhook_received(plain)
