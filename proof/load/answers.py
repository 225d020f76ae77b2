"""What the client wrote down of each request, one JSON line each."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

#: Statuses of requests without an answer: never sent because every connection was busy, cut off, or left hanging.
UNSENT, CUT_OFF, HANGING = 0, -1, -2


@dataclass(frozen=True, slots=True)
class Answered:
    """`due_s` since the start of the run, `late_s` what the client itself was late with sending, `took_s` from sent to
    answered. `is_refusal` is a problem document with Retry-After. `call_id` is of an accepted call."""

    kind: str
    number: int
    due_s: float
    late_s: float
    took_s: float
    status: int
    is_refusal: bool = False
    call_id: str | None = None

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def shed(self) -> bool:
        return self.status in (429, 503) and self.is_refusal

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def read(path: Path) -> list[Answered]:
    with path.open() as lines:
        return [Answered(**json.loads(line)) for line in lines]


def milliseconds(took_s: Iterable[float]) -> dict[str, float]:
    """p50, p99 and the longest."""
    ordered: Sequence[float] = sorted(took_s)
    if len(ordered) < 2:
        return {name: round(took * 1000, 1) for name in ("p50_ms", "p99_ms", "max_ms") for took in ordered}
    cuts = statistics.quantiles(ordered, n=100)
    p99_s = min(cuts[98], ordered[-1])
    return {
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(p99_s * 1000, 1),
        "max_ms": round(ordered[-1] * 1000, 1),
    }
