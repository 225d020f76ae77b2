"""The versioned wire contracts of both queues. Standard library only, because the Lambda includes this file."""

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ringback.domain.errors import AnotherVersion, Permanent

VERSION = 1
#: A WebhookReceived with `deflated` instead of `body`: base64 of the signed bytes, compressed by zlib.
COMPRESSED_VERSION = 2
COMPRESSED_START = f'{{"type":"WebhookReceived","v":{COMPRESSED_VERSION},'
MAX_NAME_CHARS = 40

#: The limit of a message where neither its queue nor a setting names another. Amazon SQS accepts 1 MiB since 2025, and
#: queues that were made before keep 256 KiB. A larger body is left out.
MAX_MESSAGE_BYTES = 256 * 1024

#: The largest body that a Lambda can receive, and the most that is inflated.
MAX_BODY_BYTES = 6 * 1024 * 1024

#: A larger body is compressed. A batch of a queue has the same limit as one message, so ten webhooks share it. JSON
#: escapes make at most six characters of a byte, so a body up to this size fits a queue of 256 KiB as it is.
MAX_PLAIN_BYTES = 32 * 1024
DEFLATED_AT_ONCE = 64 * 1024


Quote = Callable[[str], str]


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


_VERSIONS = {"CallRequested": (VERSION,), "WebhookReceived": (VERSION, COMPRESSED_VERSION)}


def encode(message: CallRequested | WebhookReceived) -> str:
    """Return the JSON text of a message: {"type", "v", …fields}."""
    return _text({"type": type(message).__name__, "v": VERSION, **asdict(message)})


def encode_webhook(
    received_at: str, body: str, quote: Quote = json.dumps, *, max_bytes: int = MAX_MESSAGE_BYTES
) -> str | None:
    """Return the text of a message with this body, compressed if it is large. None: the queue would reject it.

    `quote` writes a text as JSON in ASCII. `max_bytes` is the limit of the queue.
    """
    raw = body.encode()
    if len(raw) <= MAX_PLAIN_BYTES:
        head = f'{{"type":"WebhookReceived","v":{VERSION},"received_at":{json.dumps(received_at)},"body":'
        text = f'{head}{quote(body)},"provider_call_id":null,"event":null}}'
        if len(text) <= max_bytes:
            return text
    deflated = _deflated(raw, max_bytes)
    if deflated is None:
        return None
    fields = {"type": WebhookReceived.__name__, "v": COMPRESSED_VERSION, "received_at": received_at}
    text = _text({**fields, "deflated": base64.b64encode(deflated).decode()})
    return text if len(text) <= max_bytes else None


def _text(fields: dict[str, Any]) -> str:
    # ASCII, because no queue accepts a lone surrogate or U+FFFE of a webhook as it is.
    return json.dumps(fields, separators=(",", ":"))


def _deflated(raw: bytes, max_bytes: int) -> bytes | None:
    """Compress a body. None: it is too large for a message of `max_bytes`.

    This ends as soon as that is known, because a Lambda has three seconds and a small share of a core.
    """
    compressor, pieces, free_bytes = zlib.compressobj(), [], max_bytes // 4 * 3
    for first in range(0, len(raw), DEFLATED_AT_ONCE):
        pieces.append(compressor.compress(raw[first : first + DEFLATED_AT_ONCE]))
        free_bytes -= len(pieces[-1])
        if free_bytes < 0:
            return None
    pieces.append(compressor.flush())
    return b"".join(pieces)


def _inflated(deflated: object) -> str:
    """Return the body. Raises Permanent if it is damaged or longer than any webhook.

    The limit holds while it is inflated, because a few kilobytes may stand for gigabytes.
    """
    if not isinstance(deflated, str):
        raise Permanent("deflated is no text")
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(base64.b64decode(deflated, validate=True), MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise Permanent(f"compressed body is longer than {MAX_BODY_BYTES} bytes")
        if not inflater.eof or inflater.unused_data:
            raise Permanent("compressed body is cut short, or more follows it")
        return raw.decode()
    except (ValueError, zlib.error) as error:
        raise Permanent(f"compressed body is damaged: {type(error).__name__}") from None


def _fields(text: str, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise Permanent(f"message is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Permanent(f"message is not a {name}")
    kind, version = fields.get("type"), fields.get("v")
    newest = _VERSIONS[name][-1]
    if isinstance(kind, str) and type(version) is int and version >= VERSION:
        if version not in _VERSIONS.get(kind, ()):
            raise AnotherVersion(f"message is a {kind[:MAX_NAME_CHARS]} of version {version}, not a {name} of {newest}")
        if kind == name:
            return fields
    raise Permanent(f"message is not a {name} of version {newest} or earlier")


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
    """Parse a message in either form, with the errors of `decode_call_requested`."""
    fields = _fields(text, "WebhookReceived")
    try:
        if fields["v"] == COMPRESSED_VERSION:
            return WebhookReceived(fields["received_at"], _inflated(fields["deflated"]))
        return WebhookReceived(
            fields["received_at"], fields["body"], fields.get("provider_call_id"), fields.get("event")
        )
    except KeyError:
        raise Permanent("WebhookReceived needs received_at and body, or received_at and deflated") from None


def readable(text: str) -> str:
    """Return the plain form of a compressed webhook. Any other text, and a damaged one, is returned as it is."""
    if not text.startswith(COMPRESSED_START):
        return text
    try:
        return encode(decode_webhook_received(text))
    except Permanent:
        return text
