"""Ports that stay reserved while the process that listens on them is dead."""

import socket


class ReservedPort:
    """Bound and not listening: a connection is refused until the product listens, and no other program gets it."""

    def __init__(self) -> None:
        self._socket = listening(0)
        self.number: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"

    def close(self) -> None:
        self._socket.close()


def listening(port: int) -> socket.socket:
    """A socket to listen with on a reserved or a free port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
