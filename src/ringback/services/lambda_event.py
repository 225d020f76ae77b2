"""HTTP events of API Gateway and function URLs (payload format 2.0), and their responses. Standard library only."""

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ringback.failpoints import Failpoint, reach
from ringback.flows.webhook_intake import Intake
from ringback.messages import MAX_BODY_BYTES

# Retell repeats a webhook after any status but 2xx. So 2xx ends it, and every other status asks for a repeat.
_STATUS = {
    Intake.ACCEPTED: HTTPStatus.NO_CONTENT,
    Intake.FORGED: HTTPStatus.UNAUTHORIZED,
    Intake.MALFORMED: HTTPStatus.BAD_REQUEST,
    Intake.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Intake.QUEUE_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}


def answer(outcome: Intake) -> dict[str, Any]:
    """Return the HTTP response of payload format 2.0. A refusal has an RFC 9457 problem."""
    status = _STATUS[outcome]
    if outcome is Intake.ACCEPTED:
        reach(Failpoint.WEBHOOK_ENQUEUED)
        return {"statusCode": status.value}
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": outcome.value,
        "errors": [],
    }
    headers = {"content-type": "application/problem+json"}
    if outcome is Intake.QUEUE_DOWN:
        headers["retry-after"] = "1"
    return {"statusCode": status.value, "headers": headers, "body": json.dumps(problem)}


def raw_body(event: Mapping[str, Any]) -> bytes | None:
    """Return the signed bytes, None if they are too many. Raises ValueError for bad base64."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    if len(body) > MAX_BODY_BYTES * 4 // 3 + 4:
        return None
    return base64.b64decode(body, validate=True)


def header(event: Mapping[str, Any], name: str) -> str | None:
    """Find a header in any case. API Gateway lower-cases names; other senders of this event may not."""
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name), None)
