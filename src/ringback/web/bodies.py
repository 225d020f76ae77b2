"""Request bodies, read whole: each within a size and a time, all of them within what one process can hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from ringback.telemetry import HttpRefusal, Metrics
from ringback.web.problem import Problem, unavailable

KIB, MIB = 1024, 1024 * 1024
#: The largest body at the systems' doors, and at Retell's, whose bodies carry whole transcripts.
SYSTEMS_BODY_BYTES = 256 * KIB
RETELL_BODY_BYTES = 6 * MIB
#: From the head's end to the body's end.
BODY_WITHIN_S = 5.0
#: What the bodies of one kind of door hold together, from their first byte until they are answered.
MOST_BYTES = 64 * MIB
#: Bodies that have not arrived whole. Fewer than the connections, so that slow bodies cannot use those up.
MOST_UNFINISHED = 1_500


class Bodies:
    """The bodies of one kind of door.

    When they hold too much together, the one that has been arriving longest gives way: honest bodies arrive in
    milliseconds, and so those that nobody means to finish cannot keep them out.
    """

    def __init__(self, metrics: Metrics, most_bytes: int = MOST_BYTES, most_unfinished: int = MOST_UNFINISHED) -> None:
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._most_unfinished = most_unfinished
        self._held = 0
        self._unfinished: dict[_Body, None] = {}  # the oldest first

    @asynccontextmanager
    async def whole(
        self, receive: Receive, headers: Headers, max_bytes: int, within_s: float = BODY_WITHIN_S
    ) -> AsyncIterator[bytes]:
        """The body, which counts as held until the block is left. Raises Problem 413 (from the declared length, before
        anything is read), 408 and 503, and ClientDisconnect."""
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > max_bytes:
            raise self._too_large(max_bytes)
        body = _Body(within_s)
        self._unfinished[body] = None
        try:
            try:
                async with body.deadline:
                    await self._read(body, receive, max_bytes)
            except TimeoutError:
                raise self._gave_way() if body.gave_way else self._too_slow(within_s) from None
            finally:
                self._unfinished.pop(body, None)
            yield b"".join(body.pieces)
        finally:
            self._release(body)

    async def _read(self, body: "_Body", receive: Receive, max_bytes: int) -> None:
        more = True
        while more:
            self._make_room()
            if body.gave_way:
                raise TimeoutError
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece, more = message.get("body", b""), message.get("more_body", False)
            body.pieces.append(piece)
            body.size += len(piece)
            self._held += len(piece)
            if body.size > max_bytes:
                raise self._too_large(max_bytes)
        self._make_room()
        if body.gave_way:
            raise TimeoutError

    def _make_room(self) -> None:
        while self._unfinished and (self._held > self._most_bytes or len(self._unfinished) > self._most_unfinished):
            oldest = next(iter(self._unfinished))
            del self._unfinished[oldest]
            oldest.give_way()
            self._release(oldest)

    def _release(self, body: "_Body") -> None:
        self._held -= body.size
        body.size = 0
        body.pieces.clear()

    def _too_large(self, max_bytes: int) -> Problem:
        self._metrics.refused(HttpRefusal.BODY_TOO_LARGE)
        return Problem(413, "too_large", f"The body is larger than {max_bytes // KIB} KiB.")

    def _too_slow(self, within_s: float) -> Problem:
        self._metrics.refused(HttpRefusal.BODY_TOO_SLOW)
        return Problem(408, "body_too_slow", f"The body did not arrive within {within_s:g} s.")

    def _gave_way(self) -> Problem:
        self._metrics.refused(HttpRefusal.BODIES_TOO_MANY)
        return unavailable(1)


class _Body:
    """One that is arriving."""

    def __init__(self, within_s: float) -> None:
        self.deadline = asyncio.timeout(within_s)
        self.pieces: list[bytes] = []
        self.size = 0
        self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True
        if not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time())


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body as one message, and after it what the connection receives."""
    given = False

    async def messages() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return messages
