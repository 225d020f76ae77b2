"""A clock that a scenario moves, because no suite waits an hour for an hour."""

import time
from datetime import UTC, datetime, timedelta


class LeapingClock:
    """`ports.Clock`: the machine's clock and `ahead_s`. A stepped wall clock leaves monotonic time alone."""

    def __init__(self, ahead_s: float = 0.0, *, monotonic_leaps: bool = True) -> None:
        self.ahead_s = ahead_s
        self._monotonic_leaps = monotonic_leaps

    def leap(self, seconds: float) -> None:
        self.ahead_s += seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        return time.monotonic() + (self.ahead_s if self._monotonic_leaps else 0.0)
