"""What an oracle looks at, and what it finds: four kinds of faults of which there must be none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from proof.crashes.ledgers import Json, PhoneCall
from proof.crashes.modes import Mode
from proof.crashes.stage import Promise, Stop
from proof.invariants import Invariant


class Kind(StrEnum):
    """The four things of which there must be none."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    UNEXPECTED = "unexpected"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class Fault:
    invariant: Invariant
    kind: Kind
    what: str


@dataclass
class Evidence:
    """All that the oracle looks at, read once after the trial."""

    mode: Mode
    kills: int
    promises: Sequence[Promise]
    stops: Sequence[Stop]
    rings: list[Json]
    creates: list[Json]
    events: list[Json]
    writes: list[Json]
    phone_calls: dict[str, PhoneCall]
    calls: dict[str, Json]
    attempts: dict[str, Json]
    suppressions: list[Json]
    dead_rows: int
    dead_letters: list[str]
    promised_dead_letters: int

    def attempts_of(self, call_id: str) -> list[Json]:
        return [attempt for attempt in self.attempts.values() if attempt["call_id"] == call_id]

    def rings_of(self, call_id: str) -> list[Json]:
        return [ring for ring in self.rings if ring["metadata"].get("ringback_call_id") == call_id]


@dataclass
class Judgement:
    faults: list[Fault] = field(default_factory=list)
    looked_at: set[Invariant] = field(default_factory=set)

    def broke(self, invariant: Invariant, kind: Kind, what: str) -> None:
        self.faults.append(Fault(invariant, kind, what))
