"""The client of the HTTP paths, a process of its own: keep-alive connections that send the next request at once."""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import uvloop

from benchmarks.payloads import API_KEY, CallIds, call_request, fill_in, later, signature, webhook_text
from benchmarks.stub_server import content_length

Source = Iterator[bytes]
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Tally:
    """`latencies_s` of the answers that came after `counts_from`; times are of time.perf_counter()."""

    counts_from: float
    ends_at: float
    answered: int = 0
    refused: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def note(self, status: int, sent_at: float) -> bool:
        """Whether another request is to follow."""
        now = time.perf_counter()
        self.answered += 1
        self.refused += not 200 <= status < 300
        if self.counts_from <= now <= self.ends_at:
            self.latencies_s.append(now - sent_at)
        return now < self.ends_at


class Connection(asyncio.Protocol):
    """One connection; `closed` is done when it has sent its last request and got its last answer."""

    def __init__(self, source: Source, tally: Tally) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._source = source
        self._tally = tally
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._send()

    def _send(self) -> None:
        request = next(self._source)
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, is_there, rest = self._buffer.partition(HEAD_END)
        if not is_there or len(rest) < content_length(head):
            return
        self._buffer = b""
        if self._tally.note(int(head[9:12]), self._sent_at):
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def post(path: str, headers: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def call_requests(first: int, seed: int, *, at_once: bool) -> Source:
    not_before = None if at_once else later()
    for number in count(first):
        body = json.dumps(call_request(number, not_before), separators=(",", ":")).encode()
        headers = f"authorization: Bearer {API_KEY}\r\nidempotency-key: {seed}-{number}\r\n"
        yield post("/v1/calls", headers, body)


def webhooks(first: int, seed: int) -> Source:
    text = webhook_text("call_analyzed", seed)
    for number in count(first):
        ids = CallIds(f"call_{number:032x}", f"call-{number}", f"attempt-{number}")
        body = fill_in(text, ids).encode()
        yield post("/retell/webhook", f"x-retell-signature: {signature(body, time.time_ns() // 1_000_000)}\r\n", body)


SOURCES: dict[str, Callable[[int, int], Source]] = {
    "accept": lambda first, seed: call_requests(first, seed, at_once=False),
    "accept_now": lambda first, seed: call_requests(first, seed, at_once=True),
    "receive": webhooks,
}


async def run_load(source: Source, port: int, connections: int, warm_s: float, seconds: float) -> dict[str, Any]:
    """The numbers of one round; times in seconds. Raises OSError if no server listens."""
    began = time.perf_counter()
    tally = Tally(began + warm_s, began + warm_s + seconds)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(source, tally), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(connection.closed for _, connection in opened)), warm_s + seconds + 30)
    cuts = statistics.quantiles(tally.latencies_s, n=100) if len(tally.latencies_s) > 1 else [0.0] * 99
    return {
        "answered": tally.answered,
        "refused": tally.refused,
        "rate": len(tally.latencies_s) / seconds,
        "p50_s": cuts[49],
        "p99_s": cuts[98],
        "cpu_s": time.process_time(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=SOURCES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--warm-s", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asked = parser.parse_args()
    source = SOURCES[asked.kind](asked.first, asked.seed)
    result = uvloop.run(run_load(source, asked.port, asked.connections, asked.warm_s, asked.seconds))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
