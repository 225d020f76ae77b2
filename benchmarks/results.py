"""What was measured of each side of a path, and the medians that are reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One side's turn: `rate` per second in the steady part, CPU seconds and `handled` over the whole of it."""

    handled: int
    rate: float
    process_cpu_s: float
    postgres_cpu_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SideResult:
    """`queue_calls` and `commits` belong to all `handled`, warming up included."""

    rounds: Sequence[Round]
    resident_bytes: int
    queue_calls: Mapping[str, int]
    commits: int
    handled: int

    @property
    def rate(self) -> float:
        return median(each.rate for each in self.rounds)

    @property
    def process_cpu_s_per_1000(self) -> float:
        return median(each.process_cpu_s * 1000 / each.handled for each in self.rounds)

    @property
    def postgres_cpu_s_per_1000(self) -> float:
        return median(each.postgres_cpu_s * 1000 / each.handled for each in self.rounds)

    @property
    def p50_ms(self) -> float | None:
        return self._median(lambda each: each.p50_ms)

    @property
    def p99_ms(self) -> float | None:
        return self._median(lambda each: each.p99_ms)

    @property
    def queue_calls_each(self) -> float:
        return sum(self.queue_calls.values()) / self.handled

    @property
    def commits_each(self) -> float:
        return self.commits / self.handled

    def _median(self, of: Callable[[Round], float | None]) -> float | None:
        known = [value for each in self.rounds if (value := of(each)) is not None]
        return median(known) if known else None


@dataclass(frozen=True, slots=True)
class PathResult:
    name: str
    title: str
    product: SideResult
    floor: SideResult

    @property
    def ratio(self) -> float:
        """Product over floor: each round beside the floor's round that followed it, then the median."""
        pairs = zip(self.product.rounds, self.floor.rounds, strict=True)
        return median(product.rate / floor.rate for product, floor in pairs)


def steady_rate(samples: Sequence[tuple[float, int]]) -> float:
    """Per second between the first tenth and the last, from (time in s, done so far): starting and emptying a queue
    are not its pace."""
    total = samples[-1][1]
    inner = [(at, done) for at, done in samples if 0.1 * total <= done <= 0.9 * total]
    ends = inner if len(inner) > 1 and inner[-1][1] > inner[0][1] else samples
    (began, first), (ended, last) = ends[0], ends[-1]
    return (last - first) / (ended - began)
