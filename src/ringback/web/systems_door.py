"""The systems' API lets a request in by its head first, and counts it only when it is here whole."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.domain.errors import Retryable
from ringback.web.admission import REFUSED_AT, door_of
from ringback.web.bodies import SYSTEMS_BODY_BYTES, Bodies, replayed
from ringback.web.problem import Problem, response_to

#: Raises Problem 401, or Retryable when the key cannot be checked.
Authenticate = Callable[[Request], Awaitable[None]]


class SystemsDoor:
    """ASGI middleware. The key is checked before a byte of the body is read or waited for; then the whole body is read,
    so that the application, and the places in it, are taken up by complete requests only."""

    def __init__(self, app: ASGIApp, bodies: Bodies, authenticate: Authenticate | None = None) -> None:
        self._app = app
        self._bodies = bodies
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = door_of(scope)
        if door is None:
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            try:
                if self._authenticate is not None:
                    await self._authenticate(Request(scope))
                whole = self._bodies.whole(receive, Headers(scope=scope), SYSTEMS_BODY_BYTES)
                body = await stack.enter_async_context(whole)
            except (Problem, Retryable) as refused:
                scope[REFUSED_AT] = door
                await response_to(refused)(scope, receive, send)
                return
            except ClientDisconnect:
                return
            await self._app(scope, replayed(body, receive), send)
