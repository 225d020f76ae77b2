"""A TCP server on loopback that reads every request completely and then sends a given bad response."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    """The server's own ledger: every request it read to its last byte."""

    url: str = ""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    raw: list[tuple[dict[str, str], bytes]] = field(default_factory=list)  # headers, body
    connections: int = 0
    open: int = 0

    @property
    def posts(self) -> int:
        return sum(method == "POST" for method, _, _ in self.requests)


@asynccontextmanager
async def hostile(behave: Behaviour) -> AsyncIterator[Received]:
    received = Received()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        received.connections += 1
        received.open += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                received.raw.append((headers, body))
                received.requests.append((method, path, json.loads(body) if body else None))
                await behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            received.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    received.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield received
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections)


def answering(status: int, body: object = None, headers: str = "") -> Behaviour:
    """Build a complete, well-formed response. A `str` body is sent as it is."""
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    head = (
        f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n{headers}\r\n"
    )

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + raw)
        await writer.drain()

    return behave


def sending_then_closing(raw: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    return behave


async def resetting(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def trickling(writer: asyncio.StreamWriter) -> None:
    """Send each byte inside any read timeout, in a response that never ends."""
    writer.write(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hanging(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


def leaving_behind(answer: Behaviour, left: bytes, after_s: float) -> Behaviour:
    """Send `answer`, and later on the same connection a response without a request."""
    later: set[asyncio.Task[None]] = set()

    async def leave(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(after_s)
        with contextlib.suppress(ConnectionError):
            writer.write(left)
            await writer.drain()

    async def behave(writer: asyncio.StreamWriter) -> None:
        await answer(writer)
        later.add(asyncio.create_task(leave(writer)))

    return behave
