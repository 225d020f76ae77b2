"""A provider's webhook comes in: verify it, and answer only once it is durably in the queue."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ringback.domain.errors import Retryable
from ringback.failpoints import Failpoint, reach
from ringback.messages import MAX_MESSAGE_BYTES, WebhookReceived, encode

#: What a Lambda can be handed at most.
MAX_BODY_BYTES = 6 * 1024 * 1024


class Intake(StrEnum):
    ACCEPTED = "accepted"
    FORGED = "forged"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    QUEUE_DOWN = "queue_down"


@dataclass(frozen=True, slots=True)
class IntakePorts:
    """`verify(body, signature)`; `identify(text)` gives event and call id of a body the queue cannot carry;
    `send(message)` returns once the message is durable and raises Retryable if it is not known to be."""

    verify: Callable[[bytes, str | None], bool]
    identify: Callable[[str], tuple[str, str] | None]
    send: Callable[[str], None]


def take_in_webhook(body: bytes, signature: str | None, now_ms: int, ports: IntakePorts) -> Intake:
    """One delivery, at `now_ms` Unix time. Nothing but the signature is judged here: whatever is signed and looks like
    a JSON object is written down, and the processor decides what it is worth."""
    if len(body) > MAX_BODY_BYTES:
        return Intake.TOO_LARGE
    if not ports.verify(body, signature):
        return Intake.FORGED
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Intake.MALFORMED
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return Intake.MALFORMED
    message = _message(text, now_ms, ports.identify)
    if message is None:
        return Intake.MALFORMED
    try:
        reach(Failpoint.WEBHOOK_VERIFIED)
        ports.send(message)
        reach(Failpoint.WEBHOOK_ENQUEUED)
    except Retryable:
        return Intake.QUEUE_DOWN
    return Intake.ACCEPTED


def _message(text: str, now_ms: int, identify: Callable[[str], tuple[str, str] | None]) -> str | None:
    received_at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)).isoformat()
    whole = encode(WebhookReceived(received_at, text))
    # Queues take the characters of XML 1.0; these two are all that JSON leaves unescaped beyond it, and the body must
    # arrive byte for byte as it was signed.
    whole = whole.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
    if len(whole.encode()) <= MAX_MESSAGE_BYTES:
        return whole
    # Without its body: the processor asks the provider for the call instead.
    names = identify(text)
    if names is None:
        return None
    event, provider_call_id = names
    return encode(WebhookReceived(received_at, None, provider_call_id, event))
