"""Ports of this machine for what a test starts, and whether something answers there."""

import contextlib
import functools
import http.client
import itertools
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.stories.running_system import ask

#: Below the ports that Linux gives to outgoing connections and to programs that ask for any port. One of those may be
#: taken again before the program for which it was chosen listens on it. `up` chooses its ports above these.
FIRST_PORT, LAST_PORT = 10_000, 19_999
#: The environment variable with the ports of this run, such as 10000-14999. Runs beside each other have different ones.
PORTS = "RINGBACK_TEST_PORTS"


@functools.cache
def _candidates() -> Iterator[int]:
    """Each worker of a run has ports of its own, and gives none twice until it has given all."""
    first, _, last = os.environ.get(PORTS, f"{FIRST_PORT}-{LAST_PORT}").partition("-")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(int(first) + worker, int(last) + 1, workers)
    return itertools.islice(itertools.cycle(ports), os.getpid() % len(ports), None)


def free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = next(_candidates())
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


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
