"""A breadth-first search of all situations: the shortest way to a violation, and whether all can come to rest."""

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from proof.invariants import Invariant
from proof.model.checks import Broken, always, at_rest
from proof.model.offer import Kind, Step
from proof.model.rules import Rules
from proof.model.state import Bounds, Call, Situation, Worker
from proof.model.steps import steps
from ringback.domain.attempt import AttemptState

Label = tuple[object, ...]
Edge = tuple[AttemptState, AttemptState]

#: A search that found so much that is broken ends.
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Counterexample:
    """`trace` is the shortest way there from the start."""

    invariant: Invariant
    what: str
    trace: tuple[Label, ...]


@dataclass(slots=True)
class Searched:
    """What a search saw. `is_whole`: it ended because there was nothing more."""

    bounds: Bounds
    states: int = 0
    transitions: int = 0
    depth: int = 0
    rests: int = 0
    is_whole: bool = False
    events: int = 0
    steps: Counter[str] = field(default_factory=Counter)  # transitions by the name of the step
    edges: Counter[Edge] = field(default_factory=Counter)
    ways: dict[Edge, tuple[Label, ...]] = field(default_factory=dict)  # the shortest to each edge
    found: list[Counterexample] = field(default_factory=list)


class Search:
    """Parents and the system's own steps are kept as numbers of situations, in the order in which they were found."""

    def __init__(self, bounds: Bounds, rules: Rules, *, aim: Invariant | None = None) -> None:
        """With `aim` it looks at nothing else, and ends with the first that it finds."""
        self.bounds, self.rules, self.aim = bounds, rules, aim
        self.result = Searched(bounds)
        self._numbers: dict[Situation, int] = {}
        self._situations: list[Situation] = []
        self._parents = array("i")
        self._depths = array("H")
        self._sources, self._targets = array("I"), array("I")
        self._rests: list[int] = []
        self._calls: dict[tuple[Call, ...], tuple[Call, ...]] = {}
        self._workers: dict[tuple[Worker, ...], tuple[Worker, ...]] = {}

    def run(self, say: Callable[[str], None] = lambda line: None) -> Searched:
        self._number(self.bounds.start(), -1, 0)
        at = 0
        while at < len(self._situations) and not self._is_over():
            self._expand(at)
            at += 1
            if at % 100_000 == 0:
                say(f"{self.bounds.name}: {at} of {len(self._situations)} situations, depth {self._depths[at - 1]}")
        result = self.result
        result.is_whole = at == len(self._situations)
        result.states, result.depth, result.rests = len(self._situations), max(self._depths), len(self._rests)
        if result.is_whole and not result.found:
            self._check_rest()
        return result

    def _is_over(self) -> bool:
        return len(self.result.found) >= (1 if self.aim else ENOUGH) or len(self._situations) > self.bounds.most_states

    def _expand(self, at: int) -> None:
        situation, is_at_rest = self._situations[at], True
        for step in steps(situation, self.bounds, self.rules):
            self.result.transitions += 1
            self.result.steps[str(step.label[0])] += 1
            self.result.events += len(step.tx.events)
            if step.tx.broken and self._break(step.tx.broken, at, step.label):
                is_at_rest = False
                continue
            target = step.tx.situation()
            if target == situation:
                continue
            number = self._reach(step, target, at)
            if step.kind is Kind.SYSTEM:
                is_at_rest = False
                self._sources.append(at)
                self._targets.append(number)
        if is_at_rest:
            self._break(at_rest(situation), at, ())
            self._rests.append(at)

    def _reach(self, step: Step, target: Situation, at: int) -> int:
        for edge in step.tx.edges:
            self.result.edges[edge] += 1
            if edge not in self.result.ways:
                self.result.ways[edge] = (*self.trace(at), step.label)
        known = self._numbers.get(target)
        if known is not None:
            return known
        number = self._number(target, at, self._depths[at] + 1)
        self._break(always(target, self.bounds), number, ())
        return number

    def _number(self, situation: Situation, parent: int, depth: int) -> int:
        number = len(self._situations)
        # Situations share their equal parts, or a few million of them would not fit into memory.
        calls = self._calls.setdefault(situation.calls, situation.calls)
        situation = situation._replace(
            calls=calls, workers=self._workers.setdefault(situation.workers, situation.workers)
        )
        self._numbers[situation] = number
        self._situations.append(situation)
        self._parents.append(parent)
        self._depths.append(depth)
        return number

    def _break(self, broken: Broken, at: int, label: Label) -> bool:
        """Whether that is looked at; what lies behind a broken step is of no interest."""
        seen = [(invariant, what) for invariant, what in broken if self.aim in (None, invariant)]
        for invariant, what in seen[:1]:
            self.result.found.append(Counterexample(invariant, what, self.trace(at) + ((label,) if label else ())))
        return bool(seen)

    def trace(self, at: int) -> tuple[Label, ...]:
        """The labels of the steps from the start to a situation."""
        way = [at]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        way.reverse()
        return tuple(self._label(before, after) for before, after in pairwise(way))

    def _label(self, before: int, after: int) -> Label:
        target = self._situations[after]
        for step in steps(self._situations[before], self.bounds, self.rules):
            if step.tx.situation() == target:
                return step.label
        raise AssertionError("a situation is reached by a step of its parent")

    def _check_rest(self) -> None:
        """From every situation a good rest must be reachable by the system's own steps; else one is stuck, or turns in
        circles."""
        can_rest = self._can_reach(self._rests)
        if False in can_rest:
            stuck = can_rest.index(False)
            self.result.found.append(Counterexample(Invariant.I20, "it can never come to rest", self.trace(stuck)))

    def _can_reach(self, goals: list[int]) -> list[bool]:
        size = len(self._situations)
        first = array("I", bytes(4 * (size + 1)))
        for target in self._targets:
            first[target + 1] += 1
        for number in range(size):
            first[number + 1] += first[number]
        fill, into = array("I", first), array("I", bytes(4 * len(self._targets)))
        for source, target in zip(self._sources, self._targets, strict=True):
            into[fill[target]] = source
            fill[target] += 1
        reached, todo = [False] * size, list(goals)
        for goal in goals:
            reached[goal] = True
        while todo:
            target = todo.pop()
            for source in into[first[target] : first[target + 1]]:
                if not reached[source]:
                    reached[source] = True
                    todo.append(source)
        return reached
