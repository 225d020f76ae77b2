"""The client, a process of its own: sends requests at the times of a seeded schedule, and waits for no answer."""

import argparse
import asyncio
import json
import time
from collections import deque
from pathlib import Path
from typing import TextIO, cast

import uvloop

from benchmarks.http_load import HEAD_END
from benchmarks.stub_server import content_length
from proof.load.traffic import (
    ACCEPTS,
    ANSWER_AT_MOST_S,
    CUT_OFF,
    HANGING,
    UNSENT,
    Answered,
    Due,
    Load,
    Requests,
    arrivals,
)

#: Far below the time after which the server closes an idle connection: one that it may be closing is not used.
IDLE_AT_MOST_S = 3.0
#: A request that found every connection busy this long is not sent at all.
LATE_AT_MOST_S = 2.0
TICK_S = 0.002


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in progress. Raw: a library would be the bottleneck."""

    def __init__(self, flood: "Flood") -> None:
        self._flood = flood
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.asked: Due | None = None
        self.sent_at = 0.0
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def send(self, asked: Due, request: bytes) -> None:
        assert self._transport is not None, "connected before it is used"
        self.asked, self.sent_at, self._buffer = asked, time.perf_counter(), b""
        self._transport.write(request)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, is_there, body = self._buffer.partition(HEAD_END)
        if is_there and len(body) >= content_length(head):
            if b"connection: close" in head.lower():
                self.close()
            self._flood.answered(self, int(head[9:12]), head, body)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._flood.lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Flood:
    """Sends the due requests over a bounded number of connections, and records the answer of each."""

    def __init__(self, load: Load, out: TextIO) -> None:
        self._load = load
        self._requests = Requests(load.seed, load.webhook_key, load.seeded_calls, load.began_ms)
        self._out = out
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[Due] = deque()
        self._began = time.perf_counter()

    async def run(self) -> None:
        due = arrivals(self._load)
        following = next(due)
        while (now := time.perf_counter() - self._began) < self._load.seconds:
            if self._load.is_closed_loop:
                while len(self._busy) + self._opening + len(self._waiting) < self._load.connections:
                    self._offer((now, *next(due)[1:]))
            else:
                while following[0] <= now:
                    self._offer(following)
                    following = next(due)
            self._send_late_ones(now)
            await asyncio.sleep(TICK_S)
        await self._finish()

    def _offer(self, asked: Due) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.usable and time.perf_counter() - connection.idle_since < IDLE_AT_MOST_S:
                self._send(connection, asked)
                return
            connection.close()
        self._waiting.append(asked)
        if len(self._busy) + self._opening < self._load.connections:
            self._opening += 1
            task = asyncio.get_running_loop().create_task(self._open())
            task.add_done_callback(lambda done: done.exception())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._load.port)
        except (OSError, asyncio.CancelledError):  # uvloop cancels what the kernel refuses
            if self._waiting:
                self._note(self._waiting.popleft(), 0.0, 0.0, CUT_OFF)
            return
        finally:
            self._opening -= 1
        self._free(connection)

    def _free(self, connection: Connection) -> None:
        if self._waiting and connection.usable:
            self._send(connection, self._waiting.popleft())
        elif connection.usable:
            connection.idle_since = time.perf_counter()
            self._idle.append(connection)

    def _send(self, connection: Connection, asked: Due) -> None:
        self._busy.add(connection)
        connection.send(asked, self._requests.make(asked[1], asked[2]))

    def _send_late_ones(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][0] > LATE_AT_MOST_S:
            late = self._waiting.popleft()
            self._note(late, now - late[0], 0.0, UNSENT)

    def answered(self, connection: Connection, status: int, head: bytes, body: bytes) -> None:
        asked, took_s = connection.asked, time.perf_counter() - connection.sent_at
        assert asked is not None, "an answer belongs to a request"
        late_s = connection.sent_at - self._began - asked[0]
        small = head.lower()
        is_refusal = b"application/problem+json" in small and b"\r\nretry-after:" in small
        call_id = json.loads(body)["call_id"] if status == 202 and asked[1] in ACCEPTS else None
        self._note(asked, late_s, took_s, status, is_refusal, call_id)
        connection.asked = None
        self._busy.discard(connection)
        self._free(connection)

    def lost(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.asked is not None:
            took_s = time.perf_counter() - connection.sent_at
            self._note(connection.asked, connection.sent_at - self._began - connection.asked[0], took_s, CUT_OFF)

    def _note(
        self,
        asked: Due,
        late_s: float,
        took_s: float,
        status: int,
        is_refusal: bool = False,
        call_id: str | None = None,
    ) -> None:
        due_s, kind, number = asked
        self._out.write(
            Answered(
                kind, number, round(due_s, 4), round(late_s, 4), round(took_s, 4), status, is_refusal, call_id
            ).line()
        )

    async def _finish(self) -> None:
        for asked in self._waiting:
            self._note(asked, self._load.seconds - asked[0], 0.0, UNSENT)
        self._waiting.clear()
        give_up_at = time.perf_counter() + ANSWER_AT_MOST_S
        while self._busy and time.perf_counter() < give_up_at:
            await asyncio.sleep(0.02)
        for connection in self._busy:
            assert connection.asked is not None, "busy with something"
            self._note(connection.asked, 0.0, time.perf_counter() - connection.sent_at, HANGING)
            connection.asked = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", type=Path, help="a Load as JSON")
    parser.add_argument("out", type=Path, help="where the answers go, one JSON line each")
    asked = parser.parse_args()
    load = Load(**json.loads(asked.load.read_text()))
    with asked.out.open("w") as out:

        async def flood() -> None:
            await Flood(load, out).run()

        uvloop.run(flood())


if __name__ == "__main__":
    main()
