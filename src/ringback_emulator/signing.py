"""Retell's webhook signature, written from the published algorithm and shared with nothing that verifies it."""

import hashlib
import hmac


def retell_signature(body: bytes, key: str, timestamp_ms: int) -> str:
    """The value of `x-retell-signature`: HMAC-SHA256 over the body followed directly by the timestamp.

    Source: retell-sdk 6.2.13, lib/webhook_auth.py.
    """
    digest = hmac.new(key.encode(), body + str(timestamp_ms).encode(), hashlib.sha256).hexdigest()
    return f"v={timestamp_ms},d={digest}"
