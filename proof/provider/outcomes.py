"""The outcome that each case must have, stated before it is tried, and judged by the ledgers."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from proof.harness.oracle import OUTCOMES, Blame, CallSeen, Expected, Problem, judge_call
from proof.invariants import Invariant
from proof.provider.acts import Plan

I5, I6, I7, I14 = Invariant.I5, Invariant.I6, Invariant.I7, Invariant.I14
Json = dict[str, Any]

BLAME = Blame(status=I6, too_few_rings=I6, too_many_rings=I6, binding=I7)
#: Of the emulator, without those that are faults of the provider themselves.
SCENARIOS = ("00", "01", "02", "03", "05", "14")
#: A create-phone-call that leaves this long after the product was given proof of the call was sent in spite of it.
IN_SPITE_OF_EVIDENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`creates` are the permitted numbers of create-phone-call for the one attempt."""

    rings: int
    creates: frozenset[int]
    status: str
    events: tuple[str, ...]
    corrected: bool = False  # given up first; the proof came later, and the end corrects
    surfaced: bool = False  # abandoned as unknown


@dataclass(frozen=True, slots=True)
class Case:
    """`name` is also the key in the call's metadata under which proxy and ledgers know it."""

    name: str
    family: str
    what: str
    plan: Plan
    outcome: Outcome
    scenario: str = "00"
    invariants: frozenset[Invariant] = frozenset()
    otherwise: Outcome | None = None  # as good as `outcome`, where chance decides which it is

    @property
    def outcomes(self) -> list[Outcome]:
        return [self.outcome] if self.otherwise is None else [self.outcome, self.otherwise]

    def __str__(self) -> str:
        return f"case {self.name} ({self.family}: {self.what}; scenario {self.scenario})"


def answered(scenario: str, *creates: int) -> Outcome:
    """The phone rang once, and the end is the scenario's."""
    status, events = OUTCOMES[scenario]
    return Outcome(1, frozenset(creates or (1,)), status, ("initiated", *events))


def abandoned(*creates: int) -> Outcome:
    return Outcome(0, frozenset(creates or (1,)), "abandoned", ("failed outcome_unknown",), surfaced=True)


def refused() -> Outcome:
    return Outcome(0, frozenset({1}), "failed", ("failed refused",))


def rang_after_all(scenario: str, *creates: int) -> Outcome:
    """Given up, and then the late request rang the phone."""
    outcome = answered(scenario, *creates)
    return replace(outcome, events=("failed outcome_unknown", *outcome.events), corrected=True)


@dataclass(slots=True)
class Evidence:
    """One call as ledgers, database and proxy saw it."""

    call: CallSeen
    create_bodies: list[bytes] = field(default_factory=list)
    create_keys: list[str | None] = field(default_factory=list)
    create_times: list[float] = field(default_factory=list)
    evidence_at: float | None = None


def judge(case: Case, seen: Evidence) -> list[Problem]:
    """Every way in which the call is not as the case says; nothing if one of its outcomes fits."""
    for outcome in reversed(case.outcomes):
        rings = range(outcome.rings, outcome.rings + 1)
        expected = Expected("", {outcome.status}, rings, outcome.events)
        problems = [*judge_call(seen.call, expected, BLAME), *_requests(outcome, seen), *_end(outcome, seen.call)]
        if not problems:
            return []
    return problems


def _requests(outcome: Outcome, seen: Evidence) -> Iterator[Problem]:
    if len(set(seen.create_bodies)) > 1 or len(set(seen.create_keys)) > 1:
        yield Problem(I5, "the create requests of one attempt differ")
    if len(seen.create_bodies) not in outcome.creates:
        what = f"{len(seen.create_bodies)} create requests instead of {sorted(outcome.creates)}"
        yield Problem(I5, what)
    limit = None if seen.evidence_at is None else seen.evidence_at + IN_SPITE_OF_EVIDENCE_S
    if limit is not None and any(at > limit for at in seen.create_times):
        yield Problem(I5, "a create request although the call was already proved")


def _end(outcome: Outcome, seen: CallSeen) -> Iterator[Problem]:
    if len(seen.attempts) != 1:
        yield Problem(I7, f"{len(seen.attempts)} attempts instead of one")
    elif outcome.surfaced and seen.attempts[0]["state"] != "abandoned":
        yield Problem(I6, f"the attempt is {seen.attempts[0]['state']}, not abandoned")
    last = seen.deliveries[-1]["event"]["data"] if seen.deliveries else {}
    if outcome.corrected and not last.get("corrects"):
        yield Problem(I14, "the end corrects nothing")
    if outcome.surfaced and last.get("attempted") is not None:
        yield Problem(I14, "an abandoned attempt claims to know whether it was attempted")
