"""A planted bug: one change of the product, the invariants that it breaks, and the tests that must catch it."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from proof.invariants import Invariant
from proof.planted.target import CodeMoved, Target

#: The function that a bug replaces, with any arguments.
Right = Callable[..., Any]
#: The environment variables of a process that has a bug: the module and name of the bug, and the Python it is for.
#: A process of another Python, such as the SQS server's, does not have the product.
VARIABLE, PYTHON_VARIABLE = "PLANTED_BUG", "PLANTED_BUG_PYTHON"
#: Has the `sitecustomize` that plants the bug before anything else of the process runs.
START = Path(__file__).with_name("start")
#: The bugs of this process.
INSTALLED: list[str] = []


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """`why` says what makes the change plausible. `tests` are node ids below tests/."""

    _: KW_ONLY
    aims: tuple[Invariant, ...]
    why: str
    tests: tuple[str, ...]
    name: str = ""

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


def planted(
    *replaces: str, aims: tuple[Invariant, ...], why: str, tests: tuple[str, ...]
) -> Callable[[Callable[..., Any]], Replacement]:
    """Make a planted bug of a function. It replaces each target.

    It is called with the right function and then the call's own arguments. If the target is a value, the function gets
    the right value and returns the wrong one.
    """

    def bug(function: Callable[..., Any]) -> Replacement:
        name, module = function.__name__, function.__module__
        return Replacement(
            module, replaces, lambda target: target.stand_in(function), aims=aims, why=why, tests=tests, name=name
        )

    return bug


def edited(
    *replaces: str, old: str, new: str, aims: tuple[Invariant, ...], why: str, tests: tuple[str, ...]
) -> Replacement:
    """Make a planted bug in the middle of a function or of a text: `new` in the place of `old`.

    In a function both are statements or an expression, and in a text both are words. The variable names the bug.
    """
    module = sys._getframe(1).f_globals["__name__"]
    return Replacement(module, replaces, lambda target: target.edited(old, new), aims=aims, why=why, tests=tests)


def bugs_of(module: ModuleType) -> tuple[PlantedBug, ...]:
    """Every planted bug of a module, in the order of their definition."""
    return tuple(named(name, bug) for name, bug in vars(module).items() if isinstance(bug, PlantedBug))


def named(name: str, bug: PlantedBug) -> PlantedBug:
    return replace(bug, name=name)


def install_from_environment() -> None:
    """Plant the bug that the environment names, if it names one. Raises CodeMoved."""
    if VARIABLE in os.environ and os.environ.get(PYTHON_VARIABLE) == sys.prefix:
        module, _, name = os.environ[VARIABLE].partition(":")
        bug = named(name, vars(import_module(module))[name])
        assert isinstance(bug, Replacement), "a patched copy of the package needs nothing at its start"
        bug.install()
