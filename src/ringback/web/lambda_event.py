"""HTTP requests as a Lambda is handed them, and its answers as HTTP: payload format 2.0 of API Gateway's HTTP APIs.

The shapes are those of docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
"""

import base64
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ringback.web.body_limit import discard


async def bounded_body(request: Request, max_bytes: int) -> bytes | None:
    """The whole body, or None if it is too large; the rest of it has been discarded. Raises ClientDisconnect."""
    announced = request.headers.get("content-length", "")
    stream = request.stream()
    if announced.isdigit() and int(announced) > max_bytes:
        await discard(stream)
        return None
    chunks, size = [], 0
    async for chunk in stream:
        size += len(chunk)
        if size > max_bytes:
            await discard(stream)
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
        "headers": _joined(request.headers.items()),
        "requestContext": {"http": {"method": request.method, "path": request.url.path}},
        "body": text,
        "isBase64Encoded": encoded,
    }


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers that came more than once are one there, with commas: two signatures are no signature."""
    joined: dict[str, str] = {}
    for name, text in headers:
        joined[name] = f"{joined[name]},{text}" if name in joined else text
    return joined


def http_response(answered: dict[str, Any]) -> Response:
    return Response(answered.get("body"), answered["statusCode"], headers=answered.get("headers"))
