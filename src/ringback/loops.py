"""The one shell of every long-running loop: an error that no code foresaw ends a pass, never the process."""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ringback.domain.errors import Retryable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
#: A loop that failed this often in a row makes its process not ready, until it works again or has run this long.
FAILING_AFTER = 3
FAILING_FOR_S = 30.0

_OURS = str(Path(__file__).parent)
_log = structlog.get_logger(__name__)


class Loop:
    """One loop of a process. Its `kind` begins its log events; kind and name are its label in metrics and `/readyz`.

    `failures` counts errors that were not foreseen since the start, `failures_in_a_row` those since it last worked. A
    Retryable is foreseen: it makes the loop pause and is counted in neither.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.failures = 0
        self.failures_in_a_row = 0
        self._failed_at_s = 0.0
        self._errors_in_a_row = 0
        self._rng = random.Random()

    async def run(self, one_pass: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Pass after pass until `stop`, with a growing pause after errors. A pass that finds nothing to do waits by
        itself. Cancellation ends the loop."""
        while not stop.is_set():
            with self.shelter():
                await one_pass()
                self.worked()
            await rest(self.pause_s(), stop)

    @contextmanager
    def shelter(self) -> Iterator[None]:
        """An error inside is logged and counted, and what follows the block goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a bug in one pass must not end the process
            self._errors_in_a_row += 1
            if not isinstance(error, Retryable):
                self.failed(error)
            elif self._errors_in_a_row == 1:
                _log.warning(f"{self.kind}.waits", loop=self.name, error=type(error).__name__)

    def failed(self, error: BaseException) -> None:
        """Record an error that was not foreseen, by type and place: its text may quote a row."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.failures += 1
        self.failures_in_a_row += 1
        self._failed_at_s = time.monotonic()
        _log.error(f"{self.kind}.failed", loop=self.name, error=type(error).__name__, at=place(error))

    def worked(self) -> None:
        self.failures_in_a_row = self._errors_in_a_row = 0

    def is_failing(self) -> bool:
        return self.failures_in_a_row >= FAILING_AFTER and time.monotonic() < self._failed_at_s + FAILING_FOR_S

    def pause_s(self) -> float:
        """Zero if the last pass worked; else 0.2 s doubling to 5 s, shortened by up to a half at random."""
        if not self._errors_in_a_row:
            return 0.0
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._errors_in_a_row - 1, 10))
        return longest_s * self._rng.uniform(0.5, 1.0)


class Loops:
    """The loops of one process, by label."""

    def __init__(self) -> None:
        self._loops: dict[str, Loop] = {}

    def named(self, kind: str, name: str) -> Loop:
        """The same loop for the same names."""
        return self._loops.setdefault(f"{kind}.{name}", Loop(kind, name))

    def failures(self) -> Iterable[tuple[str, float]]:
        return [(label, loop.failures) for label, loop in self._loops.items()]

    def failing(self) -> list[str]:
        """Labels of the loops that fail again and again."""
        return [label for label, loop in self._loops.items() if loop.is_failing()]


async def rest(seconds: float, stop: asyncio.Event) -> None:
    """Returns after the time or at `stop`, whichever is first."""
    if seconds <= 0 or stop.is_set():
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def place(error: BaseException) -> str:
    """File and line that raised, and where our code called it: all that a log may say of an error whose text may quote
    a payload."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_OURS)]
    found = [*frames[-1:], *(frame for frame in ours[-1:] if frame is not frames[-1])]
    return " from ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in found) or "unknown"
