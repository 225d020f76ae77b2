"""Long-running loops. An unexpected error ends one pass, never the process."""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ringback.domain.errors import ErasureKeyMissing, Retryable, StoreUnavailable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
#: Failures in a row after which the process is not ready, until a pass works or this time has passed.
FAILING_AFTER = 3
FAILING_FOR_S = 30.0

_PACKAGE = str(Path(__file__).parent)
_log = structlog.get_logger(__name__)


class Availability:
    """The dependencies that this process last found unavailable. Each change is logged once."""

    def __init__(self) -> None:
        self._lost_at_s: dict[str, float] = {}

    def lost(self, dependency: str, error: BaseException | str) -> None:
        """Record that the dependency is unavailable."""
        if dependency not in self._lost_at_s:
            self._lost_at_s[dependency] = time.monotonic()
            where = {"at": location(error)} if isinstance(error, BaseException) else {}
            name = error if isinstance(error, str) else type(error).__name__
            _log.warning("dependency.unavailable", dependency=dependency, error=name, **where)

    def found(self, dependency: str) -> None:
        """Record that the dependency works."""
        lost_at_s = self._lost_at_s.pop(dependency, None)
        if lost_at_s is not None:
            after_s = round(time.monotonic() - lost_at_s, 1)
            _log.info("dependency.recovered", dependency=dependency, after_s=after_s)


class Loop:
    """One loop of a process. Log events begin with `kind`. Metrics and `/readyz` name it by kind and name.

    `failures` counts the unexpected errors since the start, `failures_in_a_row` those since the last pass that worked.
    A Retryable is expected: the loop pauses, and neither count changes.
    """

    def __init__(self, kind: str, name: str, availability: Availability | None = None) -> None:
        self.kind = kind
        self.name = name
        self.availability = availability or Availability()
        self.failures = 0
        self.failures_in_a_row = 0
        self._failed_at_s = 0.0
        self._errors_in_a_row = 0
        self._rng = random.Random()

    async def run(self, one_pass: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Run passes until `stop`, with a growing pause after errors. Cancellation ends the loop.

        A pass without work must wait by itself.
        """
        while not stop.is_set():
            with self.guard():
                await one_pass()
                self.worked()
            await rest(self.pause_s(), stop)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Log and count an error of the block. The code after the block continues."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a bug in one pass must not end the process
            self._errors_in_a_row += 1
            if not isinstance(error, Retryable):
                self.failed(error)
            elif is_database_lost(error):
                self.availability.lost("database", error)
            elif self._errors_in_a_row == 1:
                _log.warning(f"{self.kind}.waits", loop=self.name, error=type(error).__name__)

    def failed(self, error: BaseException) -> None:
        """Record an unexpected error by type and location. Its text may quote a row, so it is not logged."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.failures += 1
        self.failures_in_a_row += 1
        self._failed_at_s = time.monotonic()
        _log.error(f"{self.kind}.failed", loop=self.name, error=type(error).__name__, at=location(error))

    def worked(self) -> None:
        """Record that a pass worked."""
        self.failures_in_a_row = self._errors_in_a_row = 0

    def is_failing(self) -> bool:
        """Report whether the last passes failed, and not long ago."""
        return self.failures_in_a_row >= FAILING_AFTER and time.monotonic() < self._failed_at_s + FAILING_FOR_S

    def pause_s(self) -> float:
        """Return zero if the last pass worked; else 0.2 s doubling to 5 s, shortened by up to a half at random."""
        if not self._errors_in_a_row:
            return 0.0
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._errors_in_a_row - 1, 10))
        return longest_s * self._rng.uniform(0.5, 1.0)


class Loops:
    """The loops of one process, by label."""

    def __init__(self) -> None:
        self.availability = Availability()
        self._loops: dict[str, Loop] = {}

    def named(self, kind: str, name: str) -> Loop:
        """Return the loop of this kind and name; the same names give the same loop."""
        return self._loops.setdefault(f"{kind}.{name}", Loop(kind, name, self.availability))

    def failures(self) -> Iterable[tuple[str, float]]:
        """Return (label, count of unexpected errors) of every loop."""
        return [(label, loop.failures) for label, loop in self._loops.items()]

    def failing(self) -> list[str]:
        """Return the labels of the loops that fail repeatedly."""
        return [label for label, loop in self._loops.items() if loop.is_failing()]


def is_database_lost(error: BaseException) -> bool:
    """Report whether the error says that the database is unavailable. A missing erasure key is no such error."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, ErasureKeyMissing)


async def rest(seconds: float, stop: asyncio.Event) -> None:
    """Wait for the time or for `stop`, whichever is first."""
    if seconds <= 0 or stop.is_set():
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def location(error: BaseException) -> str:
    """Return the file and line that raised, and the line of Ringback that called it.

    The text of an error may quote a payload, so logs have only its type and location.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(_PACKAGE)]
    found = [*frames[-1:], *(frame for frame in own[-1:] if frame is not frames[-1])]
    return " from ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in found) or "unknown"
