"""One of the product's processes as `ringback serve` runs it, with its queue calls counted, and profiled if asked."""

import argparse
import cProfile
import importlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ringback import wiring
from ringback.adapters.postgres.pool import Pool
from ringback.config import process_environment, read_settings
from ringback.logs import configure_logs
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage


class CountedQueue(MessageQueue):
    """The queue it is given, every call passed on and counted."""

    def __init__(self, queue: MessageQueue, calls: Counter[str]) -> None:
        self._queue = queue
        self._calls = calls

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        self._calls["send"] += 1
        return await self._queue.send(messages)

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        self._calls["receive"] += 1
        return await self._queue.receive(limit, wait_s, visibility_s)

    async def delete(self, receipts: Sequence[str]) -> None:
        self._calls["delete"] += 1
        await self._queue.delete(receipts)

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        self._calls["change_visibility"] += 1
        await self._queue.change_visibility(receipts, visibility_s)

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        self._calls["dead_letter"] += 1
        await self._queue.dead_letter(message, reason)

    async def depth(self) -> int:
        return await self._queue.depth()

    async def close(self) -> None:
        await self._queue.close()


def count_queue_calls(calls: Counter[str]) -> None:
    """Every queue that the composition root opens from now on is counted."""
    open_queue = wiring.open_queue

    async def open_counted(name_or_url: str, pool: Pool, region: str | None) -> MessageQueue:
        return CountedQueue(await open_queue(name_or_url, pool, region), calls)

    wiring.open_queue = open_counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--profile", type=Path)
    asked = parser.parse_args()
    calls: Counter[str] = Counter()
    count_queue_calls(calls)
    settings = read_settings(process_environment(), emulated=False)
    configure_logs("json", sys.stderr)
    service = importlib.import_module(f"ringback.services.{asked.service}")
    profile = cProfile.Profile()
    if asked.profile is not None:
        profile.enable()
    service.run(settings, "127.0.0.1", asked.port)
    if asked.profile is not None:
        profile.disable()
        profile.dump_stats(asked.profile)
    asked.counts.write_text(json.dumps(calls))


if __name__ == "__main__":
    main()
