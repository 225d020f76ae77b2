"""HTTP/1.1 as raw bytes: no library sends what a hostile client does, or breaks an answer at any byte."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

#: No peer in these trials waits longer for the other side.
ANSWER_WITHIN_S = 60.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ ]*([0-9]+)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost:[^\r]*", re.IGNORECASE)

Header = tuple[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer as it passes a proxy; `head` ends with the empty line."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next one of a connection; None when the other side has closed it, in the middle too."""
    try:
        head = await reader.readuntil(_HEAD_END)
        length = _LENGTH.search(head)
        return Message(head, await reader.readexactly(int(length[1]) if length else 0))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def exchange(address: tuple[str, int], request: Message) -> Message:
    """The answer of the server at `address`, over a connection of its own. Raises ConnectionError."""
    head = _HOST.sub(b"\r\nhost: %s:%d" % (address[0].encode(), address[1]), request.head)
    head = _CONNECTION.sub(b"", head)[:-2] + b"connection: close\r\n\r\n"
    async with asyncio.timeout(ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(head + request.body)
            answer = await read_message(reader)
        finally:
            writer.close()
    if answer is None:
        raise ConnectionError("the server closed the connection before its answer")
    return Message(_CONNECTION.sub(b"", answer.head), answer.body)


def response_bytes(status: int, body: bytes = b"{}", *lines: str) -> bytes:
    """A whole answer with these further header lines."""
    head = "".join(f"{line}\r\n" for line in ("content-type: application/json", f"content-length: {len(body)}", *lines))
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Request:
    """`name` says which case it is, for a repetition. A chunked body is sent without its length."""

    name: str
    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes = b""
    chunked: bool = False

    def pieces(self) -> Iterable[bytes]:
        lines = [f"{self.method} {self.target} HTTP/1.1".encode("latin-1", "replace")]
        lines += [b"host: hostile", b"connection: close"]
        for name, text in self.headers:
            lines.append(name.encode() + b": " + (text.encode() if isinstance(text, str) else text))
        if self.chunked:
            lines.append(b"transfer-encoding: chunked")
        elif self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d" % len(self.body))
        yield b"\r\n".join(lines) + _HEAD_END
        for start in range(0, len(self.body), 65536):
            piece = self.body[start : start + 65536]
            yield b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunked else piece
        if self.chunked:
            yield b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` 0: the connection ended without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


async def send(url: str, request: Request) -> Reply:
    """One request on a connection of its own. Raises TimeoutError if nothing is answered within a minute."""
    parts = urlsplit(url)
    async with asyncio.timeout(ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**26)

        async def write() -> None:
            for piece in request.pieces():
                writer.write(piece)
                await writer.drain()

        writing, raw = asyncio.create_task(write()), b""
        try:
            while piece := await reader.read(65536):
                raw += piece
        except ConnectionError:
            pass  # the server broke off: what it sent before counts
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            writer.close()
    return _parsed(raw)


def _parsed(raw: bytes) -> Reply:
    head, _, body = raw.partition(_HEAD_END)
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 "):
        return Reply(0)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): text.strip() for name, _, text in pairs}
    if headers.get("transfer-encoding") == "chunked":
        chunked, body, length = body, b"", 1
        while chunked and length:
            size, _, rest = chunked.partition(b"\r\n")
            length = int(size or b"0", 16)
            body, chunked = body + rest[:length], rest[length + 2 :]
    return Reply(int(first.split()[1]), headers, body)
