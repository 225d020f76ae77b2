"""A planted bug: one change of one file, whom it would hurt, and the tests that must not let it pass."""

from dataclasses import dataclass
from pathlib import Path

from proof.invariants import Invariant


class CodeMoved(Exception):
    """The text that a planted bug replaces is not there, or is there more than once."""


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """`file` is below src/ringback; `old` stands in it exactly once; `why` says what makes it plausible. `tests` are
    node ids below tests/."""

    name: str
    aims: tuple[Invariant, ...]
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"tests/{test}" for test in self.tests)

    def planted_in(self, package: Path) -> str:
        """The file's text with the bug. Raises CodeMoved."""
        text = (package / self.file).read_text()
        if text.count(self.old) != 1:
            raise CodeMoved(
                f"the code has moved: {self.name}: {self.file} has this {text.count(self.old)} times: {self.old}"
            )
        return text.replace(self.old, self.new)

    def plant(self, package: Path) -> None:
        """Into the copy of the package at `package`. Raises CodeMoved."""
        (package / self.file).write_text(self.planted_in(package))
