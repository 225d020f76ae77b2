"""Waits that a busy machine does not break: none gives up while something still moves."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from proof.harness.databases import fetch

T = TypeVar("T")
#: Without any progress. A slow machine still makes some.
STUCK_AFTER_S = 180.0
_OPEN_CALLS = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"
_OPEN_EVENTS = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL AND kind = 'abt_event'"


async def until(probe: Callable[[], Awaitable[T | None]], what: str, within_s: float = 240.0) -> T:
    """The first true result of the probe. Raises AssertionError."""
    give_up_at = time.monotonic() + within_s
    while not (found := await probe()):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.05)
    return found


async def until_none(left: Callable[[], Awaitable[int]], stuck_after_s: float = STUCK_AFTER_S) -> float:
    """Wait until nothing is left, or until there is not less for so long. Returns the seconds that it took."""
    began = moved_at = time.monotonic()
    least: int | None = None
    while (count := await left()) and time.monotonic() - moved_at < stuck_after_s:
        if least is None or count < least:
            least, moved_at = count, time.monotonic()
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def until_final(database_url: str, call_ids: Sequence[str], *, with_engage: bool = True) -> float:
    """Wait until all calls are final and Engage has every event, or nothing moves any more. Returns the seconds."""

    async def left() -> int:
        [calls] = await fetch(database_url, _OPEN_CALLS, call_ids)
        [events] = await fetch(database_url, _OPEN_EVENTS)
        return int(calls["count"]) + (int(events["count"]) if with_engage else 0)

    return await until_none(left)
