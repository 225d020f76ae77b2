"""The decoder of the version before compressed webhooks, word for word. Both run during a rolling upgrade."""

import json
from typing import Any

from ringback.domain.errors import AnotherVersion, Permanent
from ringback.messages import WebhookReceived

VERSION = 1
MAX_NAME_CHARS = 40
_TYPES = ("CallRequested", "WebhookReceived")


def _fields(text: str, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise Permanent(f"message is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Permanent(f"message is not a {name}")
    kind, version = fields.get("type"), fields.get("v")
    if (kind, version) == (name, VERSION):
        return fields
    is_known = kind in _TYPES and version == VERSION
    if isinstance(kind, str) and type(version) is int and version >= VERSION and not is_known:
        raise AnotherVersion(f"message is a {kind[:MAX_NAME_CHARS]} of version {version}, not a {name} of {VERSION}")
    raise Permanent(f"message is not a {name} of version {VERSION}")


def decode_webhook_received(text: str) -> WebhookReceived:
    """Parse a message, as that version did."""
    fields = _fields(text, "WebhookReceived")
    try:
        return WebhookReceived(
            fields["received_at"], fields["body"], fields.get("provider_call_id"), fields.get("event")
        )
    except KeyError:
        raise Permanent("WebhookReceived needs received_at and body") from None
