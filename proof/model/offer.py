"""The steps out of one situation, collected: whose they are, and what they make of it."""

from enum import StrEnum
from typing import NamedTuple

from proof.model.rules import Rules
from proof.model.state import Bounds, Situation
from proof.model.transaction import Transaction


class Kind(StrEnum):
    """A run must come to rest by the system's own steps, after any faults and wishes."""

    SYSTEM = "system"
    FAULT = "fault"
    WISH = "wish"


class Step(NamedTuple):
    label: tuple[object, ...]
    kind: Kind
    tx: Transaction


class Offer:
    """A source asks for a transaction by the step's name, and makes of it what the step does."""

    __slots__ = ("bounds", "rules", "situation", "steps")

    def __init__(self, situation: Situation, bounds: Bounds, rules: Rules) -> None:
        self.situation, self.bounds, self.rules = situation, bounds, rules
        self.steps: list[Step] = []

    def system(self, *label: object) -> Transaction:
        return self._step(Kind.SYSTEM, label)

    def fault(self, *label: object) -> Transaction | None:
        """None when there have been enough."""
        if self.situation.faults == 0:
            return None
        tx = self._step(Kind.FAULT, label)
        tx.faults -= 1
        return tx

    def wish(self, name: str, *label: object) -> Transaction | None:
        """None when there have been enough, or when no step has this one."""
        if self.situation.wishes == 0 or name not in self.bounds.wished:
            return None
        tx = self._step(Kind.WISH, (name, *label))
        tx.wishes -= 1
        return tx

    def either(self, *label: object, is_fault: bool) -> Transaction | None:
        return self.fault(*label) if is_fault else self.system(*label)

    def _step(self, kind: Kind, label: tuple[object, ...]) -> Transaction:
        tx = Transaction(self.situation, self.bounds, self.rules)
        self.steps.append(Step(label, kind, tx))
        return tx
