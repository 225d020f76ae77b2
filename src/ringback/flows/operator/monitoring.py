"""Check the dependencies of a process, and read the gauges of its metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ringback.domain.operations import Backlog, DialingFacts
from ringback.flows.outbox_delivery import CHANNEL_KINDS
from ringback.loops import Availability, rest
from ringback.ports import MessageQueue
from ringback.telemetry import Gauges, Reading

T = TypeVar("T")

#: A dependency that does not answer within this time is unavailable.
CHECK_TIMEOUT_S = 2.0
#: Readings are used again for this long: several scrapers must not cost several times as much.
CACHE_S = 2.0
#: A process without requests learns of a lost dependency after this time.
WATCH_EVERY_S = 5.0


class MonitoredDatabase(Protocol):
    async def check(self) -> None:
        """Raise StoreUnavailable if the database cannot be written."""
        ...

    async def backlog(self) -> list[Backlog]: ...
    async def dialing(self) -> DialingFacts: ...


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency of a process. `check` returns a detail for the operator, and raises if it is unavailable."""

    check: Callable[[], Awaitable[str]]
    read: Callable[[], Awaitable[list[Reading]]]


def database_dependency(database: MonitoredDatabase, max_live_calls: int) -> Dependency:
    """Return the database as a dependency, with the gauges that are read from it."""

    async def check() -> str:
        await database.check()
        return ""

    async def read() -> list[Reading]:
        await database.check()
        backlog, dialing = await database.backlog(), await database.dialing()
        readings: list[Reading] = [
            ("dialing_paused", "", dialing.is_paused),
            ("breaker_open", "", dialing.is_breaker_open),
            ("live_calls", "", dialing.live),
            ("free_slots", "", max(0, max_live_calls - dialing.live)),
            ("due_calls_oldest_age_seconds", "pending", dialing.pending_age_s),
            ("due_calls_oldest_age_seconds", "dispatched", dialing.dispatched_age_s),
            ("unknown_attempts", "", dialing.unknown),
            ("unknown_attempts_oldest_age_seconds", "", dialing.unknown_age_s),
        ]
        for channel, kinds in CHANNEL_KINDS.items():
            rows = [one for one in backlog if one.kind in kinds]
            readings.append(("outbox_waiting_rows", channel, sum(one.rows for one in rows)))
            oldest_s = max((one.oldest_age_s for one in rows), default=0.0)
            readings.append(("outbox_oldest_age_seconds", channel, max(0.0, oldest_s)))
        return readings

    return Dependency(check, read)


def queue_dependency(name: str, queue: MessageQueue) -> Dependency:
    """Return a queue as a dependency."""

    async def check() -> str:
        return f"{await queue.depth()} waiting"

    async def read() -> list[Reading]:
        readings: list[Reading] = [("queue_waiting_messages", name, await queue.depth())]
        age_s = await queue.oldest_age_s()
        if age_s is not None:
            readings.append(("queue_oldest_age_seconds", name, max(0.0, age_s)))
        return readings

    return Dependency(check, read)


@dataclass(slots=True)
class Monitoring:
    """The dependencies of one process by name, and its gauges."""

    dependencies: Mapping[str, Dependency]
    gauges: Gauges
    availability: Availability
    _read_at_s: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read_gauges(self) -> None:
        """Read the gauges, unless they were read within `CACHE_S`. Never raises: `up` tells what is unavailable."""
        clock = asyncio.get_running_loop().time
        async with self._reading:
            if clock() < self._read_at_s + CACHE_S:
                return
            found = await asyncio.gather(*(self._try(name, one.read) for name, one in self.dependencies.items()))
            readings: list[Reading] = []
            for name, read in zip(self.dependencies, found, strict=True):
                readings += [("up", name, read is not None), *(read or ())]
            self.gauges.readings = readings
            self._read_at_s = clock()

    async def watch(self, stop: asyncio.Event) -> None:
        """Check every dependency once, then wait. A process without work logs a lost dependency too."""
        await asyncio.gather(*(self._try(name, one.check) for name, one in self.dependencies.items()))
        await rest(WATCH_EVERY_S, stop)

    async def _try(self, name: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                answer = await ask()
        except Exception as error:  # noqa: BLE001 - an unforeseen error is also an answer: the dependency does not work
            self.availability.lost(name, error)
            return None
        self.availability.found(name)
        return answer
