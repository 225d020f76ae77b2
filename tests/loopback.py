"""Ports of this machine for what a test starts, and whether something answers there."""

import socket
from contextlib import ExitStack

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
