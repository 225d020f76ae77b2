"""A small HTTP server for the stubs of a run. It must cost little, because it shares the machine."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import cast

import uvloop

#: (request line and headers, body) to the body of a 200 response.
Respond = Callable[[bytes, bytes], Awaitable[bytes]]

_HEAD_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one open request."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, is_there, rest = self._buffer.partition(_HEAD_END)
        if not is_there:
            return
        length = content_length(head)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._task = asyncio.get_running_loop().create_task(self._answer(head, rest[:length]))

    async def _answer(self, head: bytes, body: bytes) -> None:
        answer = await self._respond(head, body)
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self._transport.write(start + answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()


def content_length(head: bytes) -> int:
    _, is_there, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if is_there else 0


def serve(respond: Respond, port: int) -> None:
    """Serve until SIGTERM."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        server = await loop.create_server(lambda: Connection(respond), "127.0.0.1", port, backlog=2048)
        await stop.wait()
        server.close()

    uvloop.run(run())
