"""What the rules about this repository look at: its files, its functions, its documents."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "src" / "ringback"
EMULATOR = ROOT / "src" / "ringback_emulator"
#: Of dotted names only these are ours; all others are environments, caches and the version control's.
DOTTED = (".ci", ".importlinter", ".gitignore", ".github")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def our_files(root: Path = ROOT) -> Iterator[Path]:
    """Every file that may be committed."""
    for path in sorted(root.iterdir()):
        if path.name in ("__pycache__", "build") or (path.name.startswith(".") and path.name not in DOTTED):
            continue
        if path.is_dir():
            yield from our_files(path)
        else:
            yield path


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def line_count(path: Path) -> int:
    return len(path.read_text().splitlines())


@dataclass(frozen=True)
class Function:
    name: str
    lines: int
    arguments: int  # without self and cls


def functions(source: str) -> list[Function]:
    nodes = ast.walk(ast.parse(source))
    return [_function(node) for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    counted = given[1:] if given[:1] in (["self"], ["cls"]) else given
    return Function(node.name, (node.end_lineno or node.lineno) - node.lineno + 1, len(counted))


def imported_names(source: str) -> set[str]:
    """Modules that a source imports anywhere, also inside its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names
