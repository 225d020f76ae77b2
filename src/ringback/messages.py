"""The versioned wire contracts of both queues. Standard library only, because the Lambda includes this file."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from ringback.domain.errors import AnotherVersion, Permanent

VERSION = 1
MAX_NAME_CHARS = 40

#: Amazon SQS accepted 256 KiB per message until 2025, and its emulators still do. A larger body is left out.
MAX_MESSAGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A task is due. It holds ids only: the claim reads everything else, and consumes exactly this dispatch."""

    call_id: str
    task_id: str
    dispatch: int


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """A verified webhook. `body` is the raw text as signed, or None if it was too large for the queue."""

    received_at: str  # RFC 3339, UTC
    body: str | None
    provider_call_id: str | None = None  # both are set only without a body
    event: str | None = None


_TYPES = ("CallRequested", "WebhookReceived")


def encode(message: CallRequested | WebhookReceived) -> str:
    """Return the JSON text of a message: {"type", "v", …fields}."""
    fields = {"type": type(message).__name__, "v": VERSION, **asdict(message)}
    # ASCII, because no queue accepts a lone surrogate or U+FFFE of a webhook as it is.
    return json.dumps(fields, separators=(",", ":"))


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


def decode_call_requested(text: str) -> CallRequested:
    """Parse a message and ignore fields that a newer version added.

    Raises AnotherVersion for a message of a newer version, Permanent for any other text.
    """
    fields = _fields(text, "CallRequested")
    call_id, task_id, dispatch = fields.get("call_id"), fields.get("task_id"), fields.get("dispatch")
    if not (isinstance(call_id, str) and isinstance(task_id, str) and type(dispatch) is int):
        raise Permanent("CallRequested needs call_id, task_id and dispatch")
    return CallRequested(call_id, task_id, dispatch)


def decode_webhook_received(text: str) -> WebhookReceived:
    """Parse a message, with the errors of `decode_call_requested`."""
    fields = _fields(text, "WebhookReceived")
    try:
        return WebhookReceived(
            fields["received_at"], fields["body"], fields.get("provider_call_id"), fields.get("event")
        )
    except KeyError:
        raise Permanent("WebhookReceived needs received_at and body") from None
