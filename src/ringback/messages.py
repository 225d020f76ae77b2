"""The wire contracts of both queues, versioned; standard library only, because the Lambda carries this file."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from ringback.domain.errors import Permanent

VERSION = 1

#: Amazon SQS took 256 KiB per message until 2025 and its emulators still do; a larger webhook travels without its body.
MAX_MESSAGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A task is due. Ids only: the claim reads everything else, and consumes exactly this dispatch."""

    call_id: str
    task_id: str
    dispatch: int


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """A verified webhook. `body` is the raw text as signed, or None if it was too large for the queue."""

    received_at: str  # RFC 3339, UTC
    body: str | None
    provider_call_id: str | None = None  # both set only when the body is not carried
    event: str | None = None


def encode(message: CallRequested | WebhookReceived) -> str:
    """The JSON text of a message: {"type", "v", …fields}."""
    fields = {"type": type(message).__name__, "v": VERSION, **asdict(message)}
    # ASCII: a lone surrogate or U+FFFE inside a webhook is a character that no queue takes as it is.
    return json.dumps(fields, separators=(",", ":"))


def _fields(text: str, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise Permanent(f"message is not JSON: {error}") from None
    if not isinstance(fields, dict) or fields.pop("type", None) != name or fields.pop("v", None) != VERSION:
        raise Permanent(f"message is not a {name} of version {VERSION}")
    return fields


def decode_call_requested(text: str) -> CallRequested:
    """Raises Permanent for anything that is not one."""
    fields = _fields(text, "CallRequested")
    call_id, task_id, dispatch = fields.get("call_id"), fields.get("task_id"), fields.get("dispatch")
    if not (isinstance(call_id, str) and isinstance(task_id, str) and type(dispatch) is int):
        raise Permanent("CallRequested needs call_id, task_id and dispatch")
    return CallRequested(call_id, task_id, dispatch)


def decode_webhook_received(text: str) -> WebhookReceived:
    """Raises Permanent for anything that is not one."""
    fields = _fields(text, "WebhookReceived")
    try:
        return WebhookReceived(**fields)
    except TypeError:
        raise Permanent("WebhookReceived has unknown or missing fields") from None
