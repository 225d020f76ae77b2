"""Watches beside the load: the memory of every process, and the endpoints that a flood must not keep shut."""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import psutil

from benchmarks.http_load import HEAD_END, post
from benchmarks.payloads import API_KEY
from benchmarks.stub_server import content_length
from proof.load.traffic import ANSWER_AT_MOST_S, Requests

MIB = 1024 * 1024
#: Into so many parts the flood is cut to tell a leak from a new highest number of requests at once.
PARTS = 4


def exchange(port: int, request: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_AT_MOST_S) as wire:
        wire.sendall(request)
        received = b""
        while True:
            part = wire.recv(65536)
            received += part
            head, is_there, body = received.partition(HEAD_END)
            if is_there and len(body) >= content_length(head):
                return int(head[9:12]), body
            if not part:
                raise ConnectionError("closed before the whole answer had come")


@dataclass(frozen=True, slots=True)
class EndpointProbe:
    """`ok`: the endpoint answered as it should."""

    endpoint: str
    took_s: float
    ok: bool


@dataclass(slots=True)
class Watch:
    """Samples once in `every_s` until it is left. `memory_mib` is (time, resident MiB) by role: of PostgreSQL without
    its shared buffers, of everything else as it is."""

    port: int
    requests: Requests
    up_pid: int
    every_s: float
    memory_mib: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    probes: list[EndpointProbe] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Watch":
        for work in (self._sample_memory, self._probe_endpoints):
            thread = threading.Thread(target=self._repeat, args=(work,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5 * ANSWER_AT_MOST_S)

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            work()
            self._stop.wait(self.every_s)

    def _sample_memory(self) -> None:
        now = time.monotonic()
        for role, mib in resident_mib(self.up_pid).items():
            self.memory_mib.setdefault(role, []).append((now, mib))

    def _probe_endpoints(self) -> None:
        number = len(self.probes)
        key = f"authorization: Bearer {API_KEY}\r\n"
        # Ofcom's numbers for drama again, which no call of the load has.
        phone = f'{{"phone": "+441632960{number % 1000:03}", "reason": "asked"}}'.encode()
        endpoints: Mapping[str, tuple[bytes, bytes]] = {
            "/healthz": (_get("/healthz"), b"ok"),
            "/readyz": (_get("/readyz"), b'"ready"'),
            "tool call": (self.requests.tool_call(self.requests.seeded_calls + 1, f"note {number}"), b'"ok":true'),
            "suppression": (post("/v1/suppressions", key, phone), b"suppression_id"),
            "resume": (post("/v1/dialing/resume", key, b""), b"paused"),
        }
        for endpoint, (request, expected) in endpoints.items():
            began = time.monotonic()
            try:
                status, body = exchange(self.port, request)
            except OSError:
                status, body = 0, b""
            self.probes.append(EndpointProbe(endpoint, time.monotonic() - began, expected in body and status < 300))


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def resident_mib(up_pid: int) -> dict[str, float]:
    """By role: of `up` and every process that it started."""
    roles: dict[str, float] = {}
    try:
        up = psutil.Process(up_pid)
        processes = [up, *up.children(recursive=True)]
    except psutil.NoSuchProcess:
        return roles
    for process in processes:
        try:
            memory, role = process.memory_info(), _role(process, up_pid)
        except psutil.NoSuchProcess:
            continue  # backends come and go
        own = memory.rss - memory.shared if role == "postgres" else memory.rss
        roles[role] = roles.get(role, 0.0) + own / MIB
    return roles


def _role(process: psutil.Process, up_pid: int) -> str:
    if process.pid == up_pid:
        return "ringback"
    command = process.cmdline()
    return f"emulator {command[command.index('emulate') + 1]}" if "emulate" in command else "postgres"


def growth_per_minute(samples: list[tuple[float, float]]) -> float:
    """The smallest slope among the equal parts of the time, by least squares, as a share of that part's mean.

    A leak grows in every part. What a process keeps after its busiest moment grows in the parts with such a moment.
    """
    began_s, ended_s = samples[0][0], samples[-1][0]
    parts: list[list[tuple[float, float]]] = [[] for _ in range(PARTS)]
    for at_s, mib in samples:
        parts[min(int((at_s - began_s) / (ended_s - began_s or 1.0) * PARTS), PARTS - 1)].append((at_s, mib))
    return min(_slope_per_minute(part) for part in parts)


def _slope_per_minute(samples: list[tuple[float, float]]) -> float:
    if len(samples) < 2:
        return 0.0
    mean_at, mean_mib = (sum(column) / len(samples) for column in zip(*samples, strict=True))
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    slope_per_s = sum((at - mean_at) * (mib - mean_mib) for at, mib in samples) / spread
    return float(slope_per_s * 60 / mean_mib)
