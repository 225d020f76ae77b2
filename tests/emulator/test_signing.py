"""The emulator's signature is Retell's, byte for byte."""

import pytest
from retell.lib.webhook_auth import verify

from ringback_emulator.signing import retell_signature

KEY = "key_test_0123456789abcdef0123456789abcdef"
VECTORS = [
    (
        '{"event":"call_ended","call":{"call_id":"call_0123456789abcdef0123456789a","call_status":"not_connected",'
        '"disconnection_reason":"dial_no_answer"}}',
        1760000000000,
        "9d39fd7fbea1f64f32290ea6d4592b3d0b181c61eb139fa93f25d309f9a5bd45",
    ),
    (
        '{"event":"call_analyzed","call":{"call_id":"call_ünïcödé","call_analysis":{"call_summary":'
        '"Termin für Müller ✓"}}}',
        1760000123456,
        "52faafae9b3a83dc4d7de1205df08303adb6b182c3c394f65a14ee0d2afa0c46",
    ),
    ("", 1760000999999, "e0495dff5ea2e4fa22d4f95d4d623912b959252b2be541f56dff1bd2e3258a80"),
]


@pytest.mark.parametrize(("body", "timestamp_ms", "digest"), VECTORS)
def test_published_vectors_are_reproduced(body, timestamp_ms, digest):
    assert retell_signature(body.encode(), KEY, timestamp_ms) == f"v={timestamp_ms},d={digest}"


async def test_the_sdk_accepts_every_webhook_of_a_call_with_the_webhook_key_only(world):
    call = await world.place("+12125550100")
    await world.finished(call.call_id)
    for body, headers in world.recorder.webhooks:
        assert verify(body.decode(), "key_webhook_badge", headers["x-retell-signature"])
        assert not verify(body.decode(), "key_rest", headers["x-retell-signature"])
    assert world.recorder.webhooks


async def test_the_sdk_accepts_the_signature_of_a_tool_call(world):
    call = await world.place("+12125550107")
    await world.finished(call.call_id)
    ((_, body, headers),) = world.recorder.tools
    assert verify(body.decode(), "key_webhook_badge", headers["x-retell-signature"])
