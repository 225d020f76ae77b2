"""The server's connections, with the limits that uvicorn's own protocol does not have.

uvicorn 0.54 with httptools limits neither the size of a head nor the time in which it arrives, and after an early
answer it reads the rest of a body for ever (github.com/Kludex/uvicorn/issues/157).
"""

import asyncio
import json
import resource
from http import HTTPStatus
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ringback.telemetry import HttpRefusal, Metrics
from ringback.web.problems import MEDIA_TYPE

#: Open at once in one process. More than all limits of requests together, so that requests do not use them up.
MOST_CONNECTIONS = 5_000
#: File descriptors that are left for the database, queues, files and listening sockets.
OTHER_DESCRIPTORS = 256
#: A whole head; and what a request may add to its body by chunk lines and trailers, on top of the body's own size.
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
#: From the connection, or from a head's first byte on a connection that was used before, to the head's end.
HEAD_WITHIN_S = 10.0
#: How long a connection stays open between two requests. The side that sends requests should close first: a request
#: that crosses with the server's close gets a reset. HTTP clients close after 5 s (httpx) to 60 s (nginx, AWS's
#: load balancer). A full server closes idle connections earlier.
IDLE_WITHIN_S = 75
#: For the client to take the next piece of an answer that it does not read.
TAKEN_WITHIN_S = 20.0

#: Closing a connection with unread bytes resets it, and the client would see that instead of the answer (RFC 9112,
#: section 9.6). So much of a refused request is read and thrown away, for so long, on so many connections at once.
LINGER_BYTES = 16 * 1024 * 1024
LINGER_WITHIN_S = 2.0
MOST_LINGERING = 64


class HeadTooLarge(Exception):
    """Raised out of a callback of the parser it ends the parsing, and uvicorn calls `send_400_response`."""


class Connections:
    """The connections of one server."""

    def __init__(self, metrics: Metrics, most: int = MOST_CONNECTIONS) -> None:
        self.metrics = metrics
        self.most = most
        self.lingering = 0
        #: Connections without an open request, the longest waiting first.
        self.waiting: dict[LimitedProtocol, None] = {}

    def make_room(self, newest: "LimitedProtocol") -> None:
        """Close the connection that has waited longest for a request. The newest itself is closed when every other
        connection has an open request."""
        self.metrics.refused(HttpRefusal.NO_ROOM)
        given_up = next(iter(self.waiting), newest)
        self.waiting.pop(given_up, None)
        given_up.wire.abort()


class Wire(asyncio.Transport):
    """The transport that uvicorn writes to. Its `close` lingers while the request has not been read to its end."""

    def __init__(self, transport: asyncio.Transport, protocol: "LimitedProtocol") -> None:
        super().__init__()
        self._transport = transport
        self._protocol = protocol
        self._end: asyncio.TimerHandle | None = None
        self._left = LINGER_BYTES
        self._is_closed = False
        self.is_lingering = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closed:
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._is_closed or self._transport.is_closing()

    def abort(self) -> None:
        self._is_closed = True
        self._transport.abort()

    def close(self) -> None:
        """Let the client read the answer before the connection ends; a second call changes nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        limits = self._protocol.limits
        self.is_lingering = (
            self._protocol.is_within_request and not self._transport.is_closing() and limits.lingering < MOST_LINGERING
        )
        if self.is_lingering:
            limits.lingering += 1
            limits.waiting[self._protocol] = None
            self._transport.write_eof()
            self._protocol.flow.resume_reading()
        else:
            self._transport.close()
        within_s = LINGER_WITHIN_S if self.is_lingering else TAKEN_WITHIN_S
        self._end = asyncio.get_running_loop().call_later(within_s, self._transport.abort)

    def discard(self, size: int) -> None:
        """So many bytes came in that are never read."""
        self._left -= size
        if self._left < 0:
            self._transport.abort()

    def lost(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if self.is_lingering:
            self.is_lingering = False
            self._protocol.limits.lingering -= 1


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `limits` are shared with the server's other connections."""

    wire: Wire

    def __init__(self, limits: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.limits = limits
        self._is_in_head = True
        self._received = 0  # bytes of the open request, or of the head that has begun
        self._body_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None
        self._taken_deadline: asyncio.TimerHandle | None = None

    @property
    def is_within_request(self) -> bool:
        """Whether a request has begun to arrive and not ended."""
        return not self._is_in_head or self._received > 0

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.wire = Wire(transport, self)
        super().connection_made(self.wire)
        if len(self.connections) > self.limits.most:
            self.limits.make_room(self)
        if not self.wire.is_closing():
            self.limits.waiting[self] = None
            self._limit_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.limits.waiting.pop(self, None)
        self._unlimit_head()
        self.wire.lost()
        super().connection_lost(exc)
        self.resume_writing()  # ends its deadline too

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken_deadline = self.loop.call_later(TAKEN_WITHIN_S, self._answer_is_not_taken)

    def resume_writing(self) -> None:
        if self._taken_deadline is not None:
            self._taken_deadline.cancel()
            self._taken_deadline = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.wire.is_lingering:
            self.wire.discard(len(data))
            return
        if self.wire.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if self.wire.is_closing():
            return
        if self._received > MAX_HEAD_BYTES + 2 * self._body_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HttpRefusal.HEAD_TOO_LARGE)
        elif self._is_in_head and self._received and self._head_deadline is None:
            self._limit_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        self._unlimit_head()
        self._is_in_head = False
        self.limits.waiting.pop(self, None)
        if not _fits(self.url, self.headers):
            raise HeadTooLarge
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True
        self._received = self._body_bytes = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering and not self.wire.is_closing():
            self.limits.waiting[self] = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start" and cycle.more_body:
                    # The rest of the body will not be read, so the connection cannot serve another request.
                    cycle.keep_alive = False
                await send(message)

            await app(scope, receive, sending)  # type: ignore[arg-type]

        super()._start_asgi_task(cycle, cast(ASGI3Application, answering))

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed ends here, and so does a head with too much in it."""
        if self.headers is not None and not _fits(self.url, self.headers):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HttpRefusal.HEAD_TOO_LARGE)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, HttpRefusal.NO_HTTP)

    def _limit_head(self) -> None:
        self._head_deadline = self.loop.call_later(HEAD_WITHIN_S, self._head_is_late)

    def _unlimit_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self._is_answering:  # the beginning of a pipelined head waits for the answer to the request before it
            self._limit_head()
        elif self._received:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, HttpRefusal.HEAD_TOO_SLOW)
        else:
            # Without a request there is nothing to answer, and an answer would be taken for that to the next one.
            self.limits.metrics.refused(HttpRefusal.HEAD_TOO_SLOW)
            self.wire.close()

    def _answer_is_not_taken(self) -> None:
        self.limits.metrics.refused(HttpRefusal.ANSWER_NOT_TAKEN)
        self.wire.abort()

    def _refuse(self, status: HTTPStatus, why: HttpRefusal) -> None:
        """Answer, unless an answer has begun, and close."""
        self.limits.metrics.refused(why)
        if self._is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not (self._is_answering and self.cycle.response_started):
            problem: dict[str, Any] = {
                "type": "about:blank",
                "title": status.phrase,
                "status": status.value,
                "detail": f"{status.phrase}.",
                "code": why.value,
                "errors": [],
            }
            body = json.dumps(problem).encode()
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.wire.write(STATUS_LINE[status] + head.encode() + body)
        self.wire.close()


def most_connections() -> int:
    """As many as wanted, if the process may have so many descriptors; raises its soft limit as far as it is allowed."""
    wanted = MOST_CONNECTIONS + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft) - OTHER_DESCRIPTORS)


def _fits(url: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    size = len(url) + sum(len(name) + len(value) for name, value in headers)
    return len(headers) <= MAX_HEADERS and size <= MAX_HEAD_BYTES
