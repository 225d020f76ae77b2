"""What was measured of each side of a path, and the medians that are reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Round:
    """One side's turn: `rate` per second in the steady part, and the rest over the whole of it.

    `commits` are of transactions that wrote. None: it has no database, or not the whole work in it.
    """

    handled: int
    rate: float
    process_cpu_s: float
    servers_cpu_s: float
    wal_bytes: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    commits: int | None = None


@dataclass(frozen=True, slots=True)
class SideResult:
    """`queue_calls` and `updates` belong to all `handled`, warming up included. None: it has none.

    `updates` by table: all, and those that touched no index.
    """

    rounds: Sequence[Round]
    resident_bytes: int
    queue_calls: Mapping[str, int] | None
    handled: int
    updates: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return median(each.rate for each in self.rounds)

    @property
    def process_cpu_s_per_1000(self) -> float:
        return median(each.process_cpu_s * 1000 / each.handled for each in self.rounds)

    @property
    def servers_cpu_s_per_1000(self) -> float:
        return median(each.servers_cpu_s * 1000 / each.handled for each in self.rounds)

    @property
    def wal_bytes_each(self) -> float:
        return median(each.wal_bytes / each.handled for each in self.rounds)

    @property
    def p50_ms(self) -> float | None:
        return self._median(lambda each: each.p50_ms)

    @property
    def p99_ms(self) -> float | None:
        return self._median(lambda each: each.p99_ms)

    @property
    def queue_calls_each(self) -> float | None:
        if self.queue_calls is None:
            return None
        return sum(count for name, count in self.queue_calls.items() if name != DECODES) / self.handled

    @property
    def decodes_each(self) -> float:
        """Decodes of large JSON texts."""
        return (self.queue_calls or {}).get(DECODES, 0) / self.handled

    @property
    def commits_each(self) -> float | None:
        return self._median(lambda each: None if each.commits is None else each.commits / each.handled)

    def figures(self) -> Figures:
        values = {
            "rate": self.rate,
            "cpu": self.process_cpu_s_per_1000,
            "servers_cpu": self.servers_cpu_s_per_1000,
            "wal_bytes": self.wal_bytes_each,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "queue_calls": self.queue_calls_each,
            "decodes": self.decodes_each,
            "commits": self.commits_each,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _median(self, of: Callable[[Round], float | None]) -> float | None:
        known = [value for each in self.rounds if (value := of(each)) is not None]
        return median(known) if known else None


#: The name under which a process counts its decodes of large JSON texts.
DECODES = "decodes"


@dataclass(frozen=True, slots=True)
class PathResult:
    """`sides` by name; the first is the product."""

    name: str
    title: str
    sides: Mapping[str, SideResult]

    @property
    def product(self) -> SideResult:
        return next(iter(self.sides.values()))

    @property
    def rounds(self) -> int:
        return len(self.product.rounds)

    def ratios(self) -> Figures:
        """The product's rate over that of each other side: each round beside theirs, then the median."""
        return {name: self._ratio(side) for name, side in self.sides.items() if side is not self.product}

    def _ratio(self, side: SideResult) -> float:
        pairs = zip(self.product.rounds, side.rounds, strict=True)
        return median(product.rate / other.rate for product, other in pairs)

    def figures(self) -> Figures:
        found = {
            f"{self.name}.{side}.{name}": value
            for side, result in self.sides.items()
            for name, value in result.figures().items()
        }
        found |= {f"{self.name}.ratio.{side}": ratio for side, ratio in self.ratios().items()}
        for table, (updates, hot) in self.product.updates.items():
            found |= {f"{self.name}.updates.{table}": updates, f"{self.name}.hot.{table}": hot}
        return found


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: its Markdown without the title, and its figures for the goals."""

    title: str
    text: str
    figures: Figures


def steady_rate(samples: Sequence[tuple[float, int]]) -> float:
    """Per second between the first tenth and the last, from (time in s, done so far): starting and emptying a queue
    are not its pace."""
    total = samples[-1][1]
    inner = [(at, done) for at, done in samples if 0.1 * total <= done <= 0.9 * total]
    ends = inner if len(inner) > 1 and inner[-1][1] > inner[0][1] else samples
    (began, first), (ended, last) = ends[0], ends[-1]
    return (last - first) / (ended - began)
