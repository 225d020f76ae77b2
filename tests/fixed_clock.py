"""A clock that is set by hand."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """Stands still until it is told to move; monotonic time moves with it."""

    def __init__(self, now: datetime = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
