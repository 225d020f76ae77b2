"""Decode Retell's bodies: fast if they are as documented, and field by field if they are not."""

import hashlib
import json
import math
import re
from typing import Any

import msgspec

from ringback.domain.errors import NotAboutACall, Permanent


class Utterance(msgspec.Struct):
    """An item of any of Retell's transcripts. Tool invocations have `name` and `tool_call_id`."""

    role: str | None = None
    content: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


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


# json.loads joins proper surrogate pairs, so any surrogate that remains is a lone one.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_webhook = msgspec.json.Decoder(Webhook)
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
    """Read a call object field by field, without the fields of a wrong type. Raises Permanent without a call id."""
    if not isinstance(raw, dict):
        raise Permanent("call is not an object")
    kept: dict[str, Any] = {}
    for name, kind in _CALL_FIELDS.items():
        if name not in raw:
            continue
        value = (
            [item for item in raw[name] if _fits(item)] if name in _LISTS and isinstance(raw[name], list) else raw[name]
        )
        try:
            kept[name] = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
    if not kept.get("call_id"):
        raise Permanent("call without a call_id")
    return CallBody(**kept)


def _fits(item: object) -> bool:
    try:
        msgspec.convert(item, Utterance)
    except msgspec.ValidationError:
        return False
    return True


def storable(value: Any) -> Any:
    """Return the JSON value without the parts that PostgreSQL rejects. Raises RecursionError for extreme depth.

    These are NUL, half a surrogate pair (a transcript cut inside an emoji), and numbers that are not finite.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def content_identity(body: str) -> bytes:
    """Return the sha256 of the content in canonical form, so that repeats of a webhook are one row.

    `event_timestamp` is left out, because a retry may change it.
    """
    try:
        content = msgspec.json.decode(body)
        if isinstance(content, dict):
            content.pop("event_timestamp", None)
        canonical = msgspec.json.encode(content, order="sorted")
    except (msgspec.MsgspecError, RecursionError):
        canonical = body.encode(errors="surrogatepass")
    return hashlib.sha256(canonical).digest()
