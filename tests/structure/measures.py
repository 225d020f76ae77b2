"""Measures of the structure: how large the rooms are, and how plain the language is."""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from .tree import EMULATOR, PRODUCT, ROOT, line_count, python_files

PROOF = ROOT / "proof"
FLOWS = PRODUCT / "flows"
STORAGE_PORT = PRODUCT / "storage.py"
#: Openings without a subject, and the same words where a new clause begins.
HEADLESS = re.compile(
    r"^(?:who|what|whom|whatever|whoever)\b(?![^.]*\?)|(?:[.;:,] )(?:who|whoever|whatever|whom)\b", re.IGNORECASE
)


def once_used_private_functions(source: str) -> tuple[int, int]:
    """(private functions that their own file mentions once besides the definition, all functions)."""
    tree = ast.parse(source)
    defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    mentioned = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    mentioned += Counter(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    private = [node.name for node in defined if node.name.startswith("_") and not node.name.startswith("__")]
    return sum(mentioned[name] == 1 for name in private), len(defined)


def texts(source: str) -> Iterator[str]:
    """The docstrings, and the comments with their continued lines joined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield " ".join(docstring.split())
    block: list[str] = []
    last_line = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last_line + 1:
            yield " ".join(block)
            block = []
        block.append(token.string.lstrip("#: ").strip())
        last_line = token.start[0]
    if block:
        yield " ".join(block)


def is_headless(text: str) -> bool:
    """Whether the text opens or turns on a who or what clause without a noun."""
    return HEADLESS.search(text) is not None


def port_methods(source: str) -> dict[str, int]:
    """The number of methods of each protocol. A property that names a repository is none."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    protocols = [one for one in classes if any(ast.unparse(base) == "Protocol" for base in one.bases)]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        one.name: sum(isinstance(node, kinds) and not node.decorator_list for node in one.body) for one in protocols
    }


def flows_with_a_test_of_their_name(flows: Iterable[Path], tests: Path) -> list[str]:
    names = {path.stem.removeprefix("test_") for path in tests.rglob("test_*.py")}
    names |= {path.name for path in tests.rglob("*") if path.is_dir()}
    return sorted(path.stem for path in flows if path.stem in names)


def edits_of_bugs() -> list[Path]:
    """The planted bugs that are written as text."""
    return sorted(PROOF.rglob("edits/*.txt"))


def measures() -> dict[str, str]:
    """Each measure with its value."""
    files, proof = python_files(PRODUCT, EMULATOR), python_files(PROOF)
    sources = [path.read_text() for path in files]
    once, functions = map(sum, zip(*map(once_used_private_functions, sources), strict=True))
    prose = [text for source in sources for text in texts(source)]
    headless = sum(map(is_headless, prose))
    largest = max(port_methods(STORAGE_PORT.read_text()).items(), key=lambda port: port[1])
    flows = [path for path in python_files(FLOWS) if path.stem != "__init__"]
    tested = flows_with_a_test_of_their_name(flows, ROOT / "tests")
    return {
        "files in src": f"{len(files)}",
        "lines in src": f"{sum(map(line_count, files)):,}",
        "lines in proof": f"{sum(map(line_count, [*proof, *edits_of_bugs()])):,}",
        "private functions used once in their own file": f"{100 * once / functions:.1f} % of {functions:,}",
        "docstrings and comments with a headless clause": f"{100 * headless / len(prose):.1f} % of {len(prose):,}",
        "methods on the largest port": f"{largest[1]} ({largest[0]})",
        "flows with a test of their own name": f"{len(tested)} of {len(flows)}",
    }
