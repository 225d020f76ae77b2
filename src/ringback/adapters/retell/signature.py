"""The signature of a raw request body, and the two names of a webhook. Standard library only, for the Lambda."""

import hmac
import json
import re
from collections.abc import Sequence

#: In both directions and inclusive, as in Retell's SDK (retell-sdk 6.2.13, lib/webhook_auth.py).
WINDOW_MS = 300_000

# Twenty digits are more than any clock needs, and few enough to keep int() cheap.
_HEADER = re.compile(r"v=([0-9]{1,20}),d=([0-9a-f]{64})")


def sign(body: bytes, key: str, now_ms: int) -> str:
    """Return the value of `x-retell-signature` for a body sent at this Unix time in milliseconds."""
    return f"v={now_ms},d={_digest(body, key, now_ms)}"


def may_be_genuine(header: str | None, now_ms: int) -> bool:
    """Whether the header has the form of a signature and a time within the window. Never raises.

    This can be checked before the body is read. Any client can write such a header, so `verify` decides.
    """
    return _split(header, now_ms) is not None


def verify(body: bytes, header: str | None, keys: Sequence[str], now_ms: int) -> bool:
    """Whether one of the keys (two while they rotate) signed exactly these bytes within the window. Never raises."""
    split = _split(header, now_ms)
    if split is None:
        return False
    signed_ms, digest = split
    # Any client could sign with an empty key, so it verifies nothing.
    return any(hmac.compare_digest(_digest(body, key, signed_ms), digest) for key in keys if key)


def _split(header: str | None, now_ms: int) -> tuple[int, str] | None:
    """Split a header into its time and digest. None: it is malformed or outside the window."""
    match = _HEADER.fullmatch(header or "")
    if match is None:
        return None
    signed_ms, digest = int(match[1]), match[2]
    if abs(now_ms - signed_ms) > WINDOW_MS:
        return None
    return signed_ms, digest


def _digest(body: bytes, key: str, at_ms: int) -> str:
    # The digest of one whole text takes half the time of an HMAC object.
    return hmac.digest(key.encode("utf-8", "surrogatepass"), body + str(at_ms).encode(), "sha256").hex()


def identify(body: str) -> tuple[str, str] | None:
    """Return the event's name and the call id of a webhook body. None: they are unusable."""
    try:
        envelope = json.loads(body)
        event, call_id = envelope["event"], envelope["call"]["call_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if isinstance(event, str) and isinstance(call_id, str) and event and call_id:
        return event, call_id
    return None
