"""The identity of what a webhook says, so that its repeats are one row in the inbox."""

import hashlib

import msgspec


def content_identity(body: str) -> bytes:
    """sha256 of the content in canonical form, without `event_timestamp`, which a retry may renew."""
    try:
        content = msgspec.json.decode(body)
        if isinstance(content, dict):
            content.pop("event_timestamp", None)
        canonical = msgspec.json.encode(content, order="sorted")
    except (msgspec.MsgspecError, RecursionError):
        canonical = body.encode(errors="surrogatepass")
    return hashlib.sha256(canonical).digest()
