"""The clock and the ids of production."""

import itertools
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import uuid_utils

from ringback.ports import Clock

_LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        # It goes on while the machine sleeps, so that no lease outlives the sleep. CLOCK_MONOTONIC would stop.
        return time.clock_gettime(_LEASE_CLOCK)


def new_id() -> str:
    """Make a UUIDv7: unique without coordination, and in the order of time, so indexes grow at one end."""
    return str(uuid_utils.uuid7())


def id_of(moment: datetime, low: int = 0) -> str:
    """Return the first UUIDv7 of a moment (RFC 9562, 5.7), or the one with these lowest 62 bits."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | low))


def ids_of(another_clock: Clock | None) -> Callable[[], str]:
    """Return `new_id`, or a maker of UUIDv7s of another clock's time, in order within one process.

    The list of refused calls is read by the time in their ids.
    """
    if another_clock is None:
        return new_id
    made = itertools.count()

    def make() -> str:
        return id_of(another_clock.now(), next(made) << 32 | secrets.randbits(32))

    return make
