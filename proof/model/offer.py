"""The steps out of one world, collected: whose they are, and what they make of it."""

from enum import StrEnum
from typing import NamedTuple

from proof.model.rules import Rules
from proof.model.state import Bounds, World
from proof.model.transaction import Transaction


class Kind(StrEnum):
    """A run must settle by the system's own steps, whatever faults and wishes came before."""

    SYSTEM = "system"
    FAULT = "fault"
    WISH = "wish"


class Step(NamedTuple):
    label: tuple[object, ...]
    kind: Kind
    tx: Transaction


class Offer:
    """A source asks for a transaction by the step's name, and makes of it what the step does."""

    __slots__ = ("bounds", "rules", "steps", "world")

    def __init__(self, world: World, bounds: Bounds, rules: Rules) -> None:
        self.world, self.bounds, self.rules = world, bounds, rules
        self.steps: list[Step] = []

    def system(self, *label: object) -> Transaction:
        return self._step(Kind.SYSTEM, label)

    def fault(self, *label: object) -> Transaction | None:
        """None when there have been enough."""
        if self.world.faults == 0:
            return None
        tx = self._step(Kind.FAULT, label)
        tx.faults -= 1
        return tx

    def wish(self, name: str, *label: object) -> Transaction | None:
        """None when there have been enough, or when nobody has this one."""
        if self.world.wishes == 0 or name not in self.bounds.wished:
            return None
        tx = self._step(Kind.WISH, (name, *label))
        tx.wishes -= 1
        return tx

    def either(self, *label: object, is_fault: bool) -> Transaction | None:
        return self.fault(*label) if is_fault else self.system(*label)

    def _step(self, kind: Kind, label: tuple[object, ...]) -> Transaction:
        tx = Transaction(self.world, self.bounds, self.rules)
        self.steps.append(Step(label, kind, tx))
        return tx
