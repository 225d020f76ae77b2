"""What is played, and what was played."""

from collections import Counter
from dataclasses import dataclass, field

from proof.crashes.ledgers import WorldLedger
from proof.crashes.modes import Mode
from proof.crashes.stage import Stage
from ringback.failpoints import Failpoint


@dataclass(frozen=True, slots=True)
class Case:
    """What is played: the lives end at `kills`, one after the other, each a point and which hit of it; the last life
    is left alone. `bug` is planted in every life."""

    seed: int
    mode: Mode
    acts: tuple[str, ...]
    kills: tuple[tuple[Failpoint, int], ...] = ()
    bug: str | None = None

    def __str__(self) -> str:
        kills = ", ".join(f"{point} at hit {hit}" for point, hit in self.kills) or "nothing"
        return f"seed {self.seed}, {self.mode}, acts {'+'.join(self.acts)}, killed at {kills}"


@dataclass
class Played:
    """A trial that is over. `hits` has one count per life; `problem` is set when it did not come to an end."""

    case: Case
    stage: Stage
    ledger: WorldLedger
    hits: list[Counter[Failpoint]] = field(default_factory=list)
    killed: int = 0
    problem: str | None = None

    @property
    def all_kills_fired(self) -> bool:
        return self.killed == len(self.case.kills)
