"""The Lambda behind Retell's webhook URL: verify an HTTP event, put it into the event queue, respond.

The Lambda includes neither `wiring` nor `config`: its composition root, at the end, reads the environment.
"""

import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from ringback.adapters.retell.signature import identify, may_be_genuine, verify
from ringback.adapters.webhook_keys import make_key_reader, split_keys
from ringback.domain.errors import Retryable
from ringback.flows.webhook_intake import Intake, IntakePorts, read_webhook
from ringback.messages import MAX_MESSAGE_BYTES, Quote
from ringback.services.lambda_event import answer, header, raw_body

Handler = Callable[[dict[str, Any], object], dict[str, Any]]

# Lambda's JSON log format writes the extra keys as fields. The template counts the refusals with a metric filter.
_log = logging.getLogger(__name__)


def webhook_ports(keys: Sequence[str], quote: Quote = json.dumps, max_bytes: int = MAX_MESSAGE_BYTES) -> IntakePorts:
    """Return the ports of the Lambda and of the receiver. `keys` are the accepted webhook keys."""
    return IntakePorts(may_be_genuine, lambda b, s, at_ms: verify(b, s, keys, at_ms), identify, quote, max_bytes)


def make_handler(
    send: Callable[[str], None], keys: Sequence[str], now_ms: Callable[[], int], max_bytes: int = MAX_MESSAGE_BYTES
) -> Handler:
    """Return a Lambda handler for HTTP API and function URL events (payload format 2.0).

    `send` returns once the message is durable, else it raises Retryable. Both take less than 3 s.
    """
    ports = webhook_ports(keys, max_bytes=max_bytes)

    def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
        at_ms, signature = now_ms(), header(event, "x-retell-signature")
        body: bytes | None = b""
        if not ports.may_be_genuine(signature, at_ms):
            outcome = Intake.FORGED
        else:
            try:
                body = raw_body(event)
                outcome = Intake.TOO_LARGE if body is None else enqueue(body, signature, at_ms)
            except ValueError:
                outcome = Intake.MALFORMED
        if outcome is not Intake.ACCEPTED:
            _log.warning("webhook.refused", extra={"reason": outcome.value, "bytes": len(body or b"")})
        return answer(outcome)

    def enqueue(body: bytes, signature: str | None, at_ms: int) -> Intake:
        read = read_webhook(body, signature, at_ms, ports)
        if isinstance(read, Intake):
            return read
        try:
            send(read.message)
        except Retryable as error:
            _log.error("dependency.unavailable", extra={"dependency": "event_queue", "problem": str(error)})
            return Intake.QUEUE_DOWN
        event, provider_call_id = identify(body.decode()) or (None, None)
        extra = {"event": event, "provider_call_id": provider_call_id, "bytes": len(body)}
        _log.info("webhook.enqueued", extra=extra)
        return Intake.ACCEPTED

    return handle


class MissingSetting(RuntimeError):
    """The function was deployed without a required setting."""


@functools.cache
def _from_environment() -> tuple[Callable[[str], None], Callable[[], Sequence[str]], int]:
    """Return the sender, a function that returns the webhook keys, and the limit of a message in bytes."""
    from ringback.adapters.sqs.sender import make_sender  # botocore is most of the cold start; only this needs it

    logging.getLogger("ringback").setLevel(logging.INFO)
    queue_url = os.environ.get("RINGBACK_EVENT_QUEUE", "")
    if not queue_url.startswith("http"):
        raise MissingSetting("RINGBACK_EVENT_QUEUE must be the URL of the SQS event queue")
    limit = os.environ.get("RINGBACK_MAX_MESSAGE_BYTES") or str(MAX_MESSAGE_BYTES)
    if not re.fullmatch(r"[0-9]{4,7}", limit):
        raise MissingSetting("RINGBACK_MAX_MESSAGE_BYTES must be the MaximumMessageSize of the event queue, in bytes")
    make = functools.partial(make_sender, queue_url, max_message_bytes=int(limit))
    if secret := os.environ.get("RETELL_WEBHOOK_KEY_SECRET"):
        if not re.match(r"arn:[a-z-]+:secretsmanager:[a-z0-9-]+:", secret):
            raise MissingSetting("RETELL_WEBHOOK_KEY_SECRET must be the ARN of a secret in Secrets Manager")
        return make(), make_key_reader(secret, time.monotonic), int(limit)
    keys = split_keys(os.environ.get("RETELL_WEBHOOK_KEY") or os.environ.get("RETELL_API_KEY") or "")
    if not keys:
        raise MissingSetting(
            "RETELL_WEBHOOK_KEY must be the Retell key with the webhook badge, or RETELL_WEBHOOK_KEY_SECRET its secret"
        )
    return make(), lambda: keys, int(limit)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Handle one event; the deployment names this entry point.

    Raises MissingSetting after a wrong deployment, and KeysUnavailable: API Gateway then responds 500, and Retell
    repeats the webhook.
    """
    send, keys, max_bytes = _from_environment()
    return make_handler(send, keys(), lambda: time.time_ns() // 1_000_000, max_bytes)(event, context)


# Lambda gives the start of a function a whole CPU, and an invocation only the share of its memory.
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _from_environment()
