"""HTTP/1.1 as raw bytes: what a proxy needs that must be able to break it anywhere."""

import asyncio
import re
import socket
import struct
from dataclasses import dataclass

#: Nobody in these trials waits longer than this for the other side.
PATIENCE_S = 60.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ ]*([0-9]+)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost:[^\r]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer; `head` ends with the empty line."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

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
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(head + request.body)
            answer = await read_message(reader)
        finally:
            writer.close()
    if answer is None:
        raise ConnectionError("the server behind the proxy closed the connection")
    return Message(_CONNECTION.sub(b"", answer.head), answer.body)


def says(status: int, body: bytes = b"{}", *lines: str) -> bytes:
    """A whole answer with these further header lines."""
    head = "".join(f"{line}\r\n" for line in ("content-type: application/json", f"content-length: {len(body)}", *lines))
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
