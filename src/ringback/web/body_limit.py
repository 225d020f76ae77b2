"""The largest body a path takes, held before anything reads it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.web.problem import Problem

KIB, MIB = 1024, 1024 * 1024
DEFAULT_MAX_BYTES = 256 * KIB
#: Retell's bodies carry whole transcripts.
RETELL_DOORS = {"/retell/webhook": 6 * MIB, "/v1/retell/": 6 * MIB}

#: Of a refused body this much is read, for this long. Closing a connection with unread bytes resets it, and the client
#: would see that instead of the answer (RFC 9112, section 9.6).
DISCARD_BYTES = 16 * MIB
DISCARD_WITHIN_S = 3.0


class BodyLimit:
    """ASGI middleware: 413 for a declared length above the limit, or once a chunked body grows past it."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], default: int = DEFAULT_MAX_BYTES) -> None:
        self._app = app
        self._limits = limits  # by the beginning of the path; the longest that fits counts
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._limit_of(scope["path"])
        if _declared_length(scope) > max_bytes:
            if not _waits_for_permission(scope):
                await discard(_pieces(receive))
            await _too_large(max_bytes).response()(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > max_bytes:
                if message.get("more_body"):
                    await discard(_pieces(receive))
                raise _too_large(max_bytes)
            return message

        await self._app(scope, bounded, send)

    def _limit_of(self, path: str) -> int:
        fitting = [prefix for prefix in self._limits if path.startswith(prefix)]
        return self._limits[max(fitting, key=len)] if fitting else self._default


def _declared_length(scope: Scope) -> int:
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(declared) if declared.isdigit() else 0


async def discard(pieces: AsyncIterator[bytes]) -> None:
    """Read the rest of a body that nobody will look at, within limits."""
    left = DISCARD_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_WITHIN_S):
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    return


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def _waits_for_permission(scope: Scope) -> bool:
    """`Expect: 100-continue`: the body is sent only once it is asked for."""
    return any(name == b"expect" for name, _ in scope["headers"])


def _too_large(max_bytes: int) -> Problem:
    # The rest of the body is not read, so the connection cannot serve another request.
    headers = {"Connection": "close"}
    return Problem(413, "too_large", f"The body is larger than {max_bytes // KIB} KiB.", headers=headers)
