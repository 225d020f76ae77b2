"""A page of memory that every process of a testbed maps: how far its clock is ahead, how often each point was hit."""

import mmap
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proof.harness.clock import LeapingClock
from ringback.failpoints import Failpoint

_POINTS = tuple(Failpoint)
_SLOT = 8  # bytes; the first holds the leap, the second the work in progress, then one count per point
_HITS = 2 * _SLOT
_SIZE = _HITS + _SLOT * len(_POINTS)


class SharedPage(LeapingClock):
    """The testbed's clock. Only the coordinator leaps, and only one life counts at a time, so no lock is needed."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self._monotonic_leaps = True

    @property
    def ahead_s(self) -> float:  # type: ignore[override]
        (seconds,) = struct.unpack_from("d", self._memory, 0)
        return float(seconds)

    def leap(self, seconds: float) -> None:
        struct.pack_into("d", self._memory, 0, self.ahead_s + seconds)

    def count(self, point: Failpoint) -> int:
        """Counts one more hit, and returns their number."""
        offset = _HITS + _SLOT * _POINTS.index(point)
        (hits,) = struct.unpack_from("q", self._memory, offset)
        struct.pack_into("q", self._memory, offset, hits + 1)
        return int(hits) + 1

    def forget(self) -> None:
        """Forgets hits and leaps, as for a new trial."""
        self._memory[:] = bytes(_SIZE)

    def hits(self) -> Counter[Failpoint]:
        counts = struct.unpack_from(f"{len(_POINTS)}q", self._memory, _HITS)
        return Counter({point: hits for point, hits in zip(_POINTS, counts, strict=True) if hits})

    def forget_life(self) -> None:
        """Forgets the hits and the work of a life that is over."""
        self._memory[_SLOT:] = bytes(_SIZE - _SLOT)

    @property
    def in_progress(self) -> int:
        """Messages, deliveries and passes of the scheduler that a life has begun and not finished."""
        (pieces,) = struct.unpack_from("q", self._memory, _SLOT)
        return int(pieces)

    @contextmanager
    def working(self) -> Iterator[None]:
        struct.pack_into("q", self._memory, _SLOT, self.in_progress + 1)
        try:
            yield
        finally:
            struct.pack_into("q", self._memory, _SLOT, self.in_progress - 1)
