"""All planted bugs; a new one is one entry in the file of its kind."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from proof.invariants import Invariant
from proof.planted.bug import EDITS, PlantedBug, bugs_of

FILES = (
    *(f"proof.planted.{path.stem}" for path in sorted(Path(__file__).parent.glob("bugs_*.py"))),
    *(f"{EDITS.name}/{path.stem}" for path in sorted(EDITS.glob("*.txt"))),
)
BUGS: tuple[PlantedBug, ...] = tuple(chain.from_iterable(bugs_of(file).values() for file in FILES))


def aimed_at(invariant: Invariant, bugs: Iterable[PlantedBug] = BUGS) -> list[PlantedBug]:
    return [bug for bug in bugs if invariant in bug.aims]
