"""The clock and the ids of production."""

import time
from datetime import UTC, datetime

import uuid_utils


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def new_id() -> str:
    """Make a UUIDv7: unique without coordination, and in the order of time, so indexes grow at one end."""
    return str(uuid_utils.uuid7())
