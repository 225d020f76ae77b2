"""HTTP/1.1 by hand, because no client library sends what a hostile one does."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ANSWER_WITHIN_S = 60.0

Header = tuple[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """`name` says which case it is, so that it can be run again. A chunked body is sent without its length."""

    name: str
    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes = b""
    chunked: bool = False

    def head(self) -> bytes:
        lines = [
            f"{self.method} {self.target} HTTP/1.1".encode("latin-1", "replace"),
            b"host: hostile",
            b"connection: close",
        ]
        lines += [
            name.encode() + b": " + (text.encode() if isinstance(text, str) else text) for name, text in self.headers
        ]
        if self.chunked:
            lines.append(b"transfer-encoding: chunked")
        elif self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: " + str(len(self.body)).encode())
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def pieces(self) -> Iterable[bytes]:
        yield self.head()
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

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)


async def send(url: str, request: Request) -> Reply:
    """One request on a connection of its own. Raises TimeoutError if nothing is answered within a minute."""
    parts = urlsplit(url)
    async with asyncio.timeout(ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**26)
        writing = asyncio.create_task(_write(writer, request))
        try:
            return _parsed(await _read(reader))
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            writer.close()


async def _write(writer: asyncio.StreamWriter, request: Request) -> None:
    for piece in request.pieces():
        writer.write(piece)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Up to the end, or up to where the other side broke off."""
    read = b""
    try:
        while piece := await reader.read(65536):
            read += piece
    except ConnectionError:
        pass
    return read


def _parsed(raw: bytes) -> Reply:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 "):
        return Reply(0)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): text.strip() for name, _, text in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Reply(int(first.split()[1]), headers, body)


def _joined(chunked: bytes) -> bytes:
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size or b"0", 16)
        body, chunked = body + rest[:length], rest[length + 2 :]
        if not length:
            break
    return body
