"""Verify a provider's webhook, and make its message for the queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ringback.failpoints import Failpoint, reach
from ringback.messages import (
    MAX_BODY_BYTES,
    MAX_MESSAGE_BYTES,
    Quote,
    WebhookReceived,
    encode,
    encode_webhook,
)


class Intake(StrEnum):
    ACCEPTED = "accepted"
    FORGED = "forged"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    QUEUE_DOWN = "queue_down"


@dataclass(frozen=True, slots=True)
class IntakePorts:
    """Functions of the provider's edge.

    `may_be_genuine(signature, now_ms)` judges the head alone. `verify(body, signature, now_ms)` decides.
    `identify(text)` returns event and call id of a body that is too large for the queue, even compressed. `quote(text)`
    writes a text as JSON in ASCII. `max_message_bytes` is the limit of the queue.
    """

    may_be_genuine: Callable[[str | None, int], bool]
    verify: Callable[[bytes, str | None, int], bool]
    identify: Callable[[str], tuple[str, str] | None]
    quote: Quote = json.dumps
    max_message_bytes: int = MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class ToEnqueue:
    """The message of a genuine webhook. It is accepted once the queue has it, and not before."""

    message: str


def read_webhook(body: bytes, signature: str | None, now_ms: int, ports: IntakePorts) -> ToEnqueue | Intake:
    """Read one delivery at `now_ms` Unix time. An Intake is the refusal.

    Only the signature is judged here. A signed body that looks like a JSON object is recorded, and the processor judges
    its content.
    """
    if len(body) > MAX_BODY_BYTES:
        return Intake.TOO_LARGE
    if not ports.verify(body, signature, now_ms):
        return Intake.FORGED
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Intake.MALFORMED
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return Intake.MALFORMED
    received_at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)).isoformat()
    message = encode_webhook(received_at, text, ports.quote, max_bytes=ports.max_message_bytes)
    if message is None:
        # The body is left out. The processor asks the provider for the call instead.
        names = ports.identify(text)
        if names is None:
            return Intake.MALFORMED
        event, provider_call_id = names
        message = encode(WebhookReceived(received_at, None, provider_call_id, event))
    reach(Failpoint.WEBHOOK_VERIFIED)
    return ToEnqueue(message)
