"""Retell's signature: recorded vectors, the window's edges, and agreement with the official SDK."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.adapters.retell.signature import WINDOW_MS, sign, verify

KEY = "key_test_0123456789abcdef0123456789abcdef"
VECTORS = [
    (
        '{"event":"call_ended","call":{"call_id":"call_0123456789abcdef0123456789a",'
        '"call_status":"not_connected","disconnection_reason":"dial_no_answer"}}',
        1760000000000,
        "v=1760000000000,d=9d39fd7fbea1f64f32290ea6d4592b3d0b181c61eb139fa93f25d309f9a5bd45",
    ),
    (
        '{"event":"call_analyzed","call":{"call_id":"call_ünïcödé",'
        '"call_analysis":{"call_summary":"Termin für Müller ✓"}}}',
        1760000123456,
        "v=1760000123456,d=52faafae9b3a83dc4d7de1205df08303adb6b182c3c394f65a14ee0d2afa0c46",
    ),
    ("", 1760000999999, "v=1760000999999,d=e0495dff5ea2e4fa22d4f95d4d623912b959252b2be541f56dff1bd2e3258a80"),
]


@pytest.mark.parametrize(("body", "at_ms", "header"), VECTORS)
def test_recorded_signatures_are_made_and_accepted(body, at_ms, header):
    assert sign(body.encode(), KEY, at_ms) == header
    assert verify(body.encode(), header, [KEY], at_ms + 1000)


@pytest.mark.parametrize(("body", "at_ms", "header"), VECTORS)
def test_the_window_is_five_minutes_in_both_directions_inclusive(body, at_ms, header):
    raw = body.encode()
    assert verify(raw, header, [KEY], at_ms + WINDOW_MS)
    assert verify(raw, header, [KEY], at_ms - WINDOW_MS)
    assert not verify(raw, header, [KEY], at_ms + WINDOW_MS + 1)
    assert not verify(raw, header, [KEY], at_ms - WINDOW_MS - 1)


@pytest.mark.parametrize(("body", "at_ms", "header"), VECTORS)
def test_an_altered_body_digest_or_time_is_refused(body, at_ms, header):
    raw = body.encode()
    stamp, digest = header.split(",d=")
    assert not verify(raw + b" ", header, [KEY], at_ms)
    assert not verify(raw, f"{stamp},d={digest.upper()}", [KEY], at_ms)
    assert not verify(raw, f"v={at_ms + 1},d={digest}", [KEY], at_ms)
    assert not verify(raw, header, [KEY + "x"], at_ms)


def test_while_keys_rotate_either_verifies():
    header = sign(b"{}", "new", 1000)
    assert verify(b"{}", header, ["old", "new"], 1000)
    assert verify(b"{}", header, ["new", "old"], 1000)
    assert not verify(b"{}", header, ["old"], 1000)


def test_an_empty_key_verifies_nothing():
    assert not verify(b"{}", sign(b"{}", "", 1000), [""], 1000)
    assert not verify(b"{}", sign(b"{}", "", 1000), [], 1000)


@pytest.mark.parametrize(
    "header",
    [None, "", "v=,d=", "v=1,d=zz", "v=-1,d=" + "0" * 64, "v=" + "9" * 5000 + ",d=" + "0" * 64, "d=0,v=1", "\x00"],
)
def test_a_malformed_header_is_refused_without_an_error(header):
    assert not verify(b"{}", header, [KEY], 1000)


@given(st.binary(), st.text(), st.text())
def test_nothing_that_arrives_raises(body, header, key):
    assert verify(body, header, [key], 0) in (True, False)


def sdk_accepts(body: str, key: str, header: str, now_ms: int) -> bool:
    from retell.lib.webhook_auth import symmetric

    return symmetric["verify"](body, key, header, {"timestamp": now_ms})


@given(
    body=st.text(st.characters(codec="utf-8")),
    at_ms=st.integers(0, 10**14),
    drift_ms=st.integers(-WINDOW_MS - 2, WINDOW_MS + 2),
)
def test_the_sdk_and_we_agree_on_what_we_sign(body, at_ms, drift_ms):
    header = sign(body.encode(), KEY, at_ms)
    ours = verify(body.encode(), header, [KEY], at_ms + drift_ms)
    assert ours == sdk_accepts(body, KEY, header, at_ms + drift_ms) == (abs(drift_ms) <= WINDOW_MS)


@given(st.from_regex(re.compile(r"v=[0-9]{1,15},d=[0-9a-fA-F]{62,66}|v=[0-9]{0,3}.?d=[0-9a-f]{64}", re.ASCII)))
def test_the_sdk_and_we_agree_on_a_forged_header(header):
    assert verify(b"{}", header, [KEY], 0) == sdk_accepts("{}", KEY, header, 0)
