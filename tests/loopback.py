"""Ports of this machine for what a test starts, and whether something answers there."""

import http.client
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from tests.stories.running_system import ask


def free_ports(count: int) -> list[int]:
    """All held open until all are chosen, so that no two are the same."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def answers(url: str) -> bool:
    try:
        return ask("GET", url).status == 200
    except OSError:
        return False


def status_of(method: str, url: str, body: bytes = b"", api_key: str = "") -> int:
    """The status of an answer with any body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, parts.path, body, {"Authorization": f"Bearer {api_key}"})
        return connection.getresponse().status
    finally:
        connection.close()
