"""What every route of the emulated Retell does first: the key, the account's state, and errors in Retell's shape."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringback_emulator.call_request import RequestRefused
from ringback_emulator.exchange import Exchange

Handler = Callable[[Request], Awaitable[Response]]

_HANG_CHECK_S = 0.05

MESSAGES = {
    400: "Invalid request format, please check API reference.",
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "Forbidden",
    404: "The requested resource was not found.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
    500: "An unexpected server error occurred.",
}


def exchange_of(request: Request) -> Exchange:
    exchange: Exchange = request.app.state.exchange
    return exchange


def refusal(status: int, message: str | None = None) -> JSONResponse:
    text = message or MESSAGES.get(status, MESSAGES[500])
    return JSONResponse({"status": "error", "message": text}, status_code=status)


def api(handler: Handler) -> Handler:
    """A route that wants the bearer key and answers RequestRefused as the error it says."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        exchange = exchange_of(request)
        if request.headers.get("authorization") != f"Bearer {exchange.settings.api_key}":
            return refusal(401)
        if exchange.faults.account is not None:
            return refusal(exchange.faults.account)
        try:
            return await handler(request)
        except RequestRefused as refused:
            return refusal(refused.status, refused.message)

    return guarded


async def json_object(request: Request) -> dict[str, Any]:
    """Raises RequestRefused (400) for a body that is not a JSON object; an empty body is an empty object."""
    raw = await request.body()
    try:
        body = json.loads(raw or b"{}")
        if b"\\ud" in raw.lower():
            # Half a surrogate pair parses but cannot be written as UTF-8 again.
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RequestRefused(400, MESSAGES[400]) from None
    if not isinstance(body, dict):
        raise RequestRefused(400, MESSAGES[400])
    return body


async def hang_up(request: Request) -> Response:
    """Resets the connection with the request read and no byte answered."""
    # ASGI cannot do this; uvicorn's `receive` is a method of the cycle that owns the transport.
    cycle: Any = cast(MethodType, request.receive).__self__
    cycle.transport.abort()
    await asyncio.sleep(0)
    return Response(status_code=503)


async def client_left(request: Request) -> Response:
    """Never answers: returns once the client closed the connection, or this process is asked to end."""
    while not request.app.state.leaving and not await request.is_disconnected():
        await asyncio.sleep(_HANG_CHECK_S)
    return Response(status_code=503)
