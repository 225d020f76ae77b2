"""A name of the product that a planted bug replaces: a function, a method, a property, or a value of a module."""

import ast
import copy
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "ringback"


class CodeMoved(Exception):
    """A planted bug finds no longer what it replaces, or finds it more than once."""


@dataclass(frozen=True, slots=True)
class Target:
    """`value` is what `owner`, the module or a class in it, has under `name`."""

    path: str
    module: ModuleType
    owner: Any
    name: str
    value: Any

    @classmethod
    def find(cls, path: str) -> "Target":
        """Import `module:name` or `module:Class.name`. Raises CodeMoved."""
        module_name, _, qualified_name = path.partition(":")
        *outer, name = qualified_name.split(".")
        try:
            module = owner = import_module(module_name)
            for part in outer:
                owner = vars(owner)[part]
            return cls(path, module, owner, name, vars(owner)[name])
        except (ModuleNotFoundError, KeyError, TypeError) as error:
            raise CodeMoved(f"{path}: {type(error).__name__}: {error}") from error

    def stand_in(self, bug: Callable[..., Any]) -> Any:
        """A function that calls `bug` with the right function before the arguments. Of a value: what `bug` makes of it.

        Raises CodeMoved if a value is the same as before.
        """
        right = self.value
        if isinstance(right, staticmethod | classmethod):
            return type(right)(_calling(bug, right.__func__))
        if isinstance(right, property):
            return property(_calling(bug, right.fget))
        if inspect.isroutine(right):
            return _calling(bug, right)
        wrong = bug(right)
        if wrong == right:
            raise CodeMoved(f"{self.path}: the value is the same with the bug")
        return wrong

    def edited(self, old: str, new: str) -> Any:
        """The text with `old` replaced, or the function compiled with these statements or this expression replaced.

        Layout and comments make no difference. Raises CodeMoved if `old` is not there exactly once.
        """
        if isinstance(self.value, str):
            wanted = r"\s+".join(map(re.escape, old.split()))
            text, found = re.subn(wanted, lambda _: new, self.value)
            self._check_found(found, old)
            return text
        node: Any = ast.parse(Path(str(self.module.__file__)).read_text())
        for part in self.path.partition(":")[2].split("."):
            node = next((each for each in node.body if getattr(each, "name", None) == part), None)
            if node is None:
                raise CodeMoved(f"{self.path}: not defined by a statement of its own")
        edit = _Edit(old, new)
        # `super()` reads the variable `__class__` of the scope around its function.
        scope: Any = ast.parse(f"def scope(__class__): return {self.name}")
        scope.body[0].body.insert(0, edit.visit(node))
        self._check_found(edit.found, old)
        defined: dict[str, Any] = {}
        code = compile(ast.fix_missing_locations(scope), str(self.module.__file__), "exec", dont_inherit=True)
        exec(code, vars(self.module), defined)
        return defined["scope"](self.owner)

    def _check_found(self, found: int, old: str) -> None:
        if found != 1:
            raise CodeMoved(f"{self.path} has this {found} times: {old}")

    def replace(self, wrong: Any) -> None:
        """Here, and in each module of the product that has imported it by name."""
        setattr(self.owner, self.name, wrong)
        loaded = [module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE]
        for module in loaded:
            for name, value in list(vars(module).items()):
                # Equal texts and numbers may be one object without being one thing; functions never are.
                if value is self.value and (name == self.name or callable(value)):
                    setattr(module, name, wrong)


def _calling(bug: Callable[..., Any], right: Any) -> Callable[..., Any]:
    @functools.wraps(right)
    def wrong(*args: Any, **named: Any) -> Any:
        return bug(right, *args, **named)

    @functools.wraps(right)
    async def wrong_coroutine(*args: Any, **named: Any) -> Any:
        return await bug(right, *args, **named)

    return wrong_coroutine if inspect.iscoroutinefunction(right) else wrong


class _Edit(ast.NodeTransformer):
    """Replaces a run of statements, or an expression if both old and new are one."""

    def __init__(self, old: str, new: str) -> None:
        self.found = 0
        self._old, self._new = ast.parse(textwrap.dedent(old)).body, ast.parse(textwrap.dedent(new)).body
        self._is_expression = all(len(body) == 1 and isinstance(body[0], ast.Expr) for body in (self._old, self._new))

    def visit(self, node: ast.AST) -> Any:
        if self._is_expression and isinstance(node, ast.expr) and _is_same([node], [self._old[0].value]):  # type: ignore[attr-defined]
            self.found += 1
            return copy.deepcopy(self._new[0].value)  # type: ignore[attr-defined]
        if not self._is_expression:
            for body in [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]:
                if isinstance(body, list):
                    self._replace_run(body)
        return super().visit(node)

    def _replace_run(self, body: list[ast.AST]) -> None:
        size = len(self._old)
        starts = [at for at in range(len(body) - size + 1) if _is_same(body[at : at + size], self._old)]
        self.found += len(starts)
        for start in starts[:1]:
            body[start : start + size] = copy.deepcopy(self._new) or [ast.Pass()]


def _is_same(nodes: Any, others: Any) -> bool:
    return [ast.dump(node) for node in nodes] == [ast.dump(node) for node in others]
