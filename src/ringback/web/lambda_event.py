"""HTTP requests as a Lambda is handed them, and its answers as HTTP: payload format 2.0 of API Gateway's HTTP APIs.

The shapes are those of docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
"""

import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


async def bounded_body(request: Request, max_bytes: int) -> bytes | None:
    """The whole body, or None as soon as it is known to be too large. Raises ClientDisconnect."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        return None
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def http_event(request: Request, body: bytes) -> dict[str, Any]:
    """The request as API Gateway would hand it over; a body that is no UTF-8 travels as base64."""
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return {
        "version": "2.0",
        "routeKey": f"{request.method} {request.url.path}",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query,
        "headers": dict(request.headers.items()),
        "requestContext": {"http": {"method": request.method, "path": request.url.path}},
        "body": text,
        "isBase64Encoded": encoded,
    }


def http_response(answered: dict[str, Any]) -> Response:
    return Response(answered.get("body"), answered["statusCode"], headers=answered.get("headers"))
