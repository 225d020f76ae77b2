"""What a transaction of the product does to the rows, and what an observer outside would notice of it."""

from typing import NamedTuple

from proof.invariants import Invariant
from proof.model.rules import Rules
from proof.model.state import Attempt, Bounds, Call, Check, Said, Situation, Task, Worker
from ringback.domain.abt_event import AbtType
from ringback.domain.attempt import PLACED_OR_LATER, AttemptState
from ringback.domain.call import OPEN_TASK, TaskStatus

S = AttemptState


class Outcome(NamedTuple):
    """What a transaction did to the rows so far, and what was noticed of it."""

    calls: tuple[Call, ...]
    suppressed: bool
    events: tuple[tuple[int, str], ...]
    broken: tuple[tuple[Invariant, str], ...]
    before: dict[tuple[int, int], AttemptState]


class Transaction:
    """A situation being changed: `events` for Engage, `edges` of attempts, `broken` for violations."""

    __slots__ = (
        "_before",
        "bounds",
        "broken",
        "calls",
        "check",
        "events",
        "faults",
        "memory",
        "paused",
        "rules",
        "suppressed",
        "wishes",
        "workers",
    )

    def __init__(self, situation: Situation, bounds: Bounds, rules: Rules) -> None:
        self.bounds, self.rules, self.memory = bounds, rules, rules.memory
        self.calls: list[Call] = list(situation.calls)
        self.workers: list[Worker] = list(situation.workers)
        self.faults, self.wishes = situation.faults, situation.wishes
        self.check: Check | None = situation.check
        self.suppressed, self.paused = situation.suppressed, situation.paused
        self.events: list[tuple[int, str]] = []
        self.broken: list[tuple[Invariant, str]] = []
        self._before: dict[tuple[int, int], AttemptState] = {}

    def situation(self) -> Situation:
        """Which of two workers does something makes no difference, so they stand in one order."""
        workers = tuple(sorted(self.workers, key=rank) if len(self.workers) > 1 else self.workers)
        return Situation(tuple(self.calls), workers, self.faults, self.wishes, self.check, self.suppressed, self.paused)

    def outcome(self) -> Outcome:
        return Outcome(tuple(self.calls), self.suppressed, tuple(self.events), tuple(self.broken), dict(self._before))

    def repeat(self, outcome: Outcome) -> None:
        self.calls, self.suppressed = list(outcome.calls), outcome.suppressed
        self.events, self.broken = list(outcome.events), list(outcome.broken)
        self._before = dict(outcome.before)

    @property
    def edges(self) -> list[tuple[AttemptState, AttemptState]]:
        moves = [(before, self.calls[c].attempts[a].state) for (c, a), before in self._before.items()]
        return [(before, after) for before, after in moves if before is not after]

    def alter(self, c: int, **fields: object) -> None:
        self.calls[c] = self.calls[c]._replace(**fields)  # type: ignore[arg-type]

    def attempt(self, c: int, a: int) -> Attempt:
        return self.calls[c].attempts[a]

    def latest(self, c: int) -> Attempt | None:
        attempts = self.calls[c].attempts
        return attempts[-1] if attempts else None

    def change(self, c: int, a: int, **fields: object) -> None:
        attempts = self.calls[c].attempts
        changed = attempts[a]._replace(**fields)  # type: ignore[arg-type]
        self.alter(c, attempts=(*attempts[:a], changed, *attempts[a + 1 :]))

    def move(self, c: int, a: int, state: AttemptState) -> None:
        """A step of the dial protocol, by the product's table."""
        before = self.attempt(c, a)
        if not self.rules.may_move(before.state, state):
            self.broken.append((Invariant.I6, f"{before.state} -> {state} is no step of the protocol"))
        if before.state in PLACED_OR_LATER and state not in PLACED_OR_LATER:
            self.broken.append((Invariant.I7, f"a placed attempt became {state} again"))
        self._before.setdefault((c, a), before.state)
        self.change(c, a, facts=before.facts._replace(state=state))

    def open_task(self, c: int) -> int | None:
        for index, task in enumerate(self.calls[c].tasks):
            if task.status in OPEN_TASK:
                return index
        return None

    def set_task(self, c: int, t: int, status: TaskStatus, **fields: object) -> None:
        """Messages that asked for its dispatch until now ask for an older one then."""
        tasks = self.calls[c].tasks
        task = tasks[t]
        if status is not TaskStatus.DISPATCHED or "fresh" in fields:
            task = task._replace(stale=task.stale or task.fresh > 0, fresh=0)
        task = task._replace(status=status, **fields)  # type: ignore[arg-type]
        self.alter(c, tasks=(*tasks[:t], task, *tasks[t + 1 :]))

    def put_task(self, c: int, t: int, **fields: object) -> None:
        tasks = self.calls[c].tasks
        self.alter(c, tasks=(*tasks[:t], tasks[t]._replace(**fields), *tasks[t + 1 :]))  # type: ignore[arg-type]

    def add_task(self, c: int, task: Task) -> None:
        self.alter(c, tasks=(*self.calls[c].tasks, task))

    def set_worker(self, w: int, worker: Worker) -> None:
        self.workers[w] = worker

    def announce_initiated(self, c: int, a: int) -> None:
        if self.attempt(c, a).initiated:
            return
        self.events.append((c, AbtType.INITIATED))
        self.change(c, a, initiated=True)

    def announce_started(self, c: int, a: int) -> None:
        attempt = self.attempt(c, a)
        if attempt.started or not attempt.facts.talked:
            return
        if not attempt.initiated:
            self.broken.append((Invariant.I14, "started before initiated"))
        self.events.append((c, AbtType.STARTED))
        self.change(c, a, started=True)

    def announce_closing(self, c: int) -> None:
        self.events.append((c, AbtType.FAILED))
        self._final(c, corrected=0, bit=1)

    def announce_rescheduled(self, c: int, a: int | None) -> None:
        self.events.append((c, AbtType.RESCHEDULED))

    def announce_end(self, c: int, a: int, type_: AbtType, *, is_final: bool, was_attempted: bool) -> None:
        """The attempt's terminal event; it corrects what was said of the attempt before."""
        attempt = self.attempt(c, a)
        self.events.append((c, type_))
        if was_attempted and not attempt.initiated:
            self.broken.append((Invariant.I14, "an end before initiated"))
        if attempt.said is Said.NOTHING:
            if attempt.has_ended:
                self.broken.append((Invariant.I14, "two ends of one attempt, and none corrects the other"))
            self.change(c, a, has_ended=True)
        corrected = {Said.CLOSING: 1, Said.OWN: 2 << a}.get(attempt.said, 0)
        self._final(c, corrected=corrected, bit=2 << a if is_final else 0)

    def _final(self, c: int, *, corrected: int, bit: int) -> None:
        standing = self.calls[c].finals & ~corrected
        if standing & ~bit and bit:
            self.broken.append((Invariant.I14, "two final events of one call, and none corrects the other"))
        self.alter(c, finals=standing | bit)


def rank(worker: Worker) -> tuple[object, ...]:
    return (*worker[:-1], worker.answer or "")
