"""A caller hears "not now" in good time, whatever the database or a queue is hanging on."""

import asyncio

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.web.problem import unavailable

log = structlog.get_logger(__name__)

#: Below the 10 s after which most HTTP clients give up by themselves and learn nothing.
ANSWER_WITHIN_S = 7.0
#: Retell's doors have limits of their own: someone is on the phone there, or a webhook is repeated soon.
PREFIX, OTHER_DOORS = "/v1/", "/v1/retell/"


class AnswerWithin:
    """ASGI middleware. What is cut off may have been committed: the same idempotency key tells."""

    def __init__(self, app: ASGIApp, seconds: float = ANSWER_WITHIN_S) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX) or path.startswith(OTHER_DOORS):
            await self._app(scope, receive, send)
            return
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, noted)
        except TimeoutError:
            if began:
                raise
            log.warning("http.unavailable", cause="no answer in time")
            await unavailable(1).response()(scope, receive, send)
