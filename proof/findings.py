"""What a suite of the proof found: cases tried and violations, by invariant, and how to run it again."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from proof.invariants import Invariant

Say = Callable[[str], None]


class Size(StrEnum):
    """SMALL is part of the tests and takes seconds; FULL is the proof and takes minutes."""

    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Violation:
    """`reproduce` is the seed, the case and the settings that show it again."""

    invariant: Invariant
    what: str
    reproduce: str


@dataclass(slots=True)
class Findings:
    """`cases` counts, per invariant, the cases in which an oracle looked at it; `counts` is what else was counted or
    measured, with its unit in its name. `planted` says of each planted bug whether it was caught, `aims` what it
    breaks, and `misses` what happened instead, where that is known."""

    suite: str
    seed: int
    settings: Mapping[str, object] = field(default_factory=dict)
    cases: Counter[Invariant] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)
    planted: dict[str, bool] = field(default_factory=dict)
    aims: dict[str, tuple[Invariant, ...]] = field(default_factory=dict)
    misses: dict[str, str] = field(default_factory=dict)

    def tried(self, *invariants: Invariant, cases: int = 1) -> None:
        for invariant in invariants:
            self.cases[invariant] += cases

    def broke(self, invariant: Invariant, what: str, reproduce: str) -> None:
        self.violations.append(Violation(invariant, what, reproduce))

    def plant(self, bug: str, caught: bool, *aims: Invariant, how: str = "") -> None:
        """`how`: what the tests of a bug did, in a line or more."""
        self.planted[bug] = caught
        self.aims[bug] = aims
        if how and not caught:
            self.misses[bug] = how

    @contextmanager
    def planting(self, bug: str, *aims: Invariant) -> "Iterator[Findings]":
        """Findings of their own for a trial with the bug: it is caught if the trial breaks one of its aims."""
        seen = Findings(self.suite, self.seed)
        yield seen
        self.plant(bug, any(violation.invariant in aims for violation in seen.violations), *aims)

    def merge(self, other: "Findings") -> None:
        """Take over the cases, violations and counts of a part that ran beside others."""
        self.cases += other.cases
        self.violations += other.violations
        self.counts |= other.counts

    @property
    def holds(self) -> bool:
        """Something was tried, nothing was broken, and every planted bug was caught."""
        return bool(self.cases or self.planted) and not self.violations and all(self.planted.values())


#: A suite: `run(size, seed, say)`; `say` takes lines of progress.
Run = Callable[[Size, int, Say], Findings]
