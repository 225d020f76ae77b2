"""Decode Retell's bodies: fast if they are as documented, and field by field if they are not."""

import hashlib
import json
from typing import Any

import msgspec

from ringback.domain.errors import NotAboutACall, Permanent
from ringback.domain.storable import MAX_DEPTH, is_deeper_than, storable


class Utterance(msgspec.Struct):
    """An item of any of Retell's transcripts. Tool invocations have `name`, `tool_call_id` and `arguments`."""

    role: str | None = None
    content: str | None = None
    name: str | None = None
    tool_call_id: str | None = None
    arguments: Any = None


class CallBody(msgspec.Struct):
    """The used parts of Retell's call object. Times are Unix milliseconds; the cost is in cents.

    Real payloads omit even fields that the SDK's types require, so only the call id is required. Unknown fields are
    skipped.
    """

    call_id: str
    call_status: str | None = None
    direction: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    metadata: dict[str, Any] | None = None
    start_timestamp: int | float | None = None
    end_timestamp: int | float | None = None
    duration_ms: int | float | None = None
    disconnection_reason: str | None = None
    transcript: str | None = None
    transcript_object: list[Utterance] | None = None
    transcript_with_tool_calls: list[Utterance] | None = None
    scrubbed_transcript_with_tool_calls: list[Utterance] | None = None
    recording_url: str | None = None
    scrubbed_recording_url: str | None = None
    call_cost: dict[str, Any] | None = None
    latency: dict[str, Any] | None = None
    agent_version: int | float | None = None
    call_analysis: dict[str, Any] | None = None
    data_storage_setting: str | None = None
    opt_out_sensitive_data_storage: bool | None = None


class Webhook(msgspec.Struct):
    event: str
    call: CallBody


class FunctionBody(msgspec.Struct):
    call: CallBody
    args: dict[str, Any]
    name: Any = None


_webhook = msgspec.json.Decoder(Webhook)
_function_body = msgspec.json.Decoder(FunctionBody)
#: Retell's names have at most 40 characters. An index of the inbox holds both, and a row of it at most 2,704 bytes.
MAX_NAME_CHARS = 250
_CALL_FIELDS = {field.name: field.type for field in msgspec.structs.fields(CallBody)}
_LISTS = {"transcript_object", "transcript_with_tool_calls", "scrubbed_transcript_with_tool_calls"}


def decode_webhook(body: str | bytes) -> Webhook:
    """Decode a webhook. Raises NotAboutACall if the event is not about a call.

    Raises Permanent unless the body is an object with an event's name and a call with an id, both of a usual length.
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if b"\\u0000" not in raw:
        try:
            decoded = _webhook.decode(raw)
        except (ValueError, RecursionError):
            pass  # decoded again below, without the unusable fields
        else:
            if 0 < len(decoded.event) <= MAX_NAME_CHARS and 0 < len(decoded.call.call_id) <= MAX_NAME_CHARS:
                return decoded
    envelope = decode_object(raw)
    event = envelope.get("event")
    if not isinstance(event, str) or not event:
        raise Permanent("webhook without an event name")
    if len(event) > MAX_NAME_CHARS:
        raise Permanent("event name is too long")
    if "call" not in envelope and not event.startswith("call_"):
        raise NotAboutACall(event)
    call = call_body(envelope.get("call"))
    if len(call.call_id) > MAX_NAME_CHARS:
        raise Permanent("call_id is too long")
    return Webhook(event, call)


def decode_function_body(raw: bytes) -> FunctionBody | None:
    """Decode the body of a custom function if it is as documented. None: it is not, or must be made safe to store."""
    if b"\\u0000" in raw:
        return None
    try:
        decoded = _function_body.decode(raw)
    except (ValueError, RecursionError):
        return None
    call = decoded.call
    deepest = [decoded.args, call.metadata, call.latency, call.call_cost, call.call_analysis]
    return None if not call.call_id or is_deeper_than(MAX_DEPTH, deepest) else decoded


def decode_object(body: str | bytes) -> dict[str, Any]:
    """Decode a JSON object and make it safe to store. Raises Permanent for any other body."""
    try:
        value = storable(json.loads(body))
    except (ValueError, RecursionError):
        raise Permanent("body is not JSON") from None
    if not isinstance(value, dict):
        raise Permanent("body is not a JSON object")
    return value


def call_body(raw: object) -> CallBody:
    """Read a call object field by field, without the fields of a wrong type. All that is read is safe to store.

    Raises Permanent without a call id, and RecursionError for extreme depth.
    """
    if not isinstance(raw, dict):
        raise Permanent("call is not an object")
    kept: dict[str, Any] = {}
    for name, kind in _CALL_FIELDS.items():
        if name not in raw:
            continue
        value = raw[name]
        if name in _LISTS and isinstance(value, list):
            kept[name] = [utterance for item in value if (utterance := _utterance(item)) is not None]
            continue
        try:
            kept[name] = msgspec.convert(storable(value), kind)
        except msgspec.ValidationError:
            continue
    if not kept.get("call_id"):
        raise Permanent("call without a call_id")
    return CallBody(**kept)


def _utterance(item: object) -> Utterance | None:
    """Read one item. Its other members, above all the time of each word, are left out before texts are checked."""
    try:
        read = msgspec.convert(item, Utterance)
    except msgspec.ValidationError:
        return None
    return Utterance(*map(storable, (read.role, read.content, read.name, read.tool_call_id)))


def content_identity(body: str) -> bytes:
    """Return the sha256 of the content in canonical form, so that repeats of a webhook are one row.

    `event_timestamp` is left out, because a retry may change it.
    """
    try:
        return _identity(msgspec.json.decode(body))
    except (msgspec.MsgspecError, RecursionError):
        return hashlib.sha256(body.encode(errors="surrogatepass")).digest()


def identified(content: dict[str, Any]) -> tuple[bytes, str]:
    """Return the identity and the text of a webhook with this content, which was JSON."""
    return _identity(content), msgspec.json.encode(content).decode()


def _identity(content: Any) -> bytes:
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != "event_timestamp"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).digest()
