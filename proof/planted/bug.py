"""A planted bug: one change of the product, the invariants that it breaks, and the tests that must catch it.

A bug is a function that replaces one of the product's (`bugs_*.py`), or an edit in the middle of one (`edits/*.txt`).
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from proof.invariants import Invariant
from proof.planted.target import PACKAGE, CodeMoved, Target

#: The function that a bug replaces, with any arguments.
Right = Callable[..., Any]
#: The environment variables of a process that has a bug: the module and name of the bug, and the Python it is for.
#: A process of another Python, such as the SQS server's, does not have the product.
VARIABLE, PYTHON_VARIABLE = "PLANTED_BUG", "PLANTED_BUG_PYTHON"
#: Has the `sitecustomize` that plants the bug before anything else of the process runs.
START = Path(__file__).with_name("start")
EDITS = Path(__file__).with_name("edits")
#: The bugs of this process.
INSTALLED: list[str] = []
_EDIT = re.compile(r"(?P<name>\w+): (?:(?P<aims>I\d+(?: I\d+)*)\. )?(?P<why>.+)")


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """`why` says what makes the change plausible. `tests` are node ids below tests/."""

    name: str
    aims: tuple[Invariant, ...]
    why: str
    tests: tuple[str, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"tests/{test}" for test in self.tests)


@dataclass(frozen=True, slots=True)
class Replacement(PlantedBug):
    """Puts what `wrong` makes of a target, `module:name` or `module:Class.name`, in the place of each target."""

    module: str
    targets: tuple[str, ...]
    wrong: Callable[[Target], Any]

    def install(self) -> None:
        """Plant the bug into this process. Raises CodeMoved."""
        for target, wrong in self.replacements():
            target.replace(wrong)
        INSTALLED.append(self.name)

    def replacements(self) -> list[tuple[Target, Any]]:
        """Each target with what takes its place. Raises CodeMoved."""
        try:
            return [(target, self.wrong(target)) for target in map(Target.find, self.targets)]
        except CodeMoved as moved:
            raise CodeMoved(f"{self.name}: {moved}") from moved

    def environment(self) -> Mapping[str, str]:
        """The variables with which a Python process, and each that it starts, plants the bug."""
        return {VARIABLE: f"{self.module}:{self.name}", PYTHON_VARIABLE: sys.prefix}


@dataclass(frozen=True, slots=True)
class TextPatch(PlantedBug):
    """For what is no Python function or value: `old` stands exactly once in `file`, below src/ringback."""

    file: str
    old: str
    new: str

    def planted_in(self, package: Path) -> str:
        """The file's text with the bug. Raises CodeMoved."""
        text = (package / self.file).read_text()
        if text.count(self.old) != 1:
            raise CodeMoved(f"{self.name}: {self.file} has this {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)

    def plant(self, package: Path) -> None:
        """Into the copy of the package at `package`. Raises CodeMoved."""
        (package / self.file).write_text(self.planted_in(package))


def planted(replaces: str | tuple[str, ...], aims: str, *tests: str) -> Callable[[Callable[..., Any]], Replacement]:
    """Make a planted bug of a function, whose docstring says why it is plausible. It replaces each target.

    It is called with the right function and then the call's own arguments. If the target is a value, the function gets
    the right value and returns the wrong one.
    """
    targets = (replaces,) if isinstance(replaces, str) else replaces

    def bug(function: Callable[..., Any]) -> Replacement:
        why = str(function.__doc__)
        return Replacement(
            function.__name__,
            _invariants(aims),
            why,
            tests,
            function.__module__,
            targets,
            lambda t: t.stand_in(function),
        )

    return bug


def read_edits(text: str, module: str) -> Iterator[PlantedBug]:
    """Read edits, a paragraph each. Raises ValueError for a paragraph that is none.

    The first line is `name: I1 I2. Why it is plausible.` `in` names a target below `ringback`, or a file that is
    patched as text. `-` are the lines that `+` replaces: statements or an expression in a function, words in a text.
    `by` names the tests.
    """
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.strip("\n").splitlines() if not line.startswith("#")]
        if not lines:
            continue
        first = _EDIT.fullmatch(lines[0])
        found: dict[str, list[str]] = {mark: [] for mark in ("in", "-", "+", "by")}
        for line in lines[1:]:
            mark, _, rest = line.partition(" ")
            if mark not in found:
                raise ValueError(f"no line of an edit: {line}")
            found[mark].append(rest)
        if first is None or not (found["in"] and found["-"] and found["by"]):
            raise ValueError(f"no edit: {paragraph}")
        old, new, tests = "\n".join(found["-"]), "\n".join(found["+"]), tuple(" ".join(found["by"]).split())
        bug = first["name"], _invariants(first["aims"] or ""), first["why"], tests
        if ":" not in found["in"][0]:
            yield TextPatch(*bug, found["in"][0], old, new)
        else:
            targets = tuple(f"{PACKAGE}.{target}" for target in found["in"])
            yield Replacement(*bug, module, targets, partial(Target.edited, old=old, new=new))


def bugs_of(module: str) -> dict[str, PlantedBug]:
    """Every planted bug by name, of a module or of `edits/NAME`."""
    if module.startswith(EDITS.name):
        edits = read_edits((EDITS.parent / f"{module}.txt").read_text(), module)
        return {bug.name: bug for bug in edits}
    return {name: bug for name, bug in vars(import_module(module)).items() if isinstance(bug, PlantedBug)}


def _invariants(aims: str) -> tuple[Invariant, ...]:
    return tuple(Invariant[name] for name in aims.split())


def install_from_environment() -> None:
    """Plant the bug that the environment names, if it names one. Raises CodeMoved."""
    if VARIABLE in os.environ and os.environ.get(PYTHON_VARIABLE) == sys.prefix:
        module, _, name = os.environ[VARIABLE].partition(":")
        bug = bugs_of(module)[name]
        assert isinstance(bug, Replacement), "a patched copy of the package needs nothing at its start"
        bug.install()
