"""Retired words are in no name, docstring, comment, test name or document.

The code once had a dialect of its own. `RETIRED` has its words, and the words to use instead. The words in use are
in docs/architecture.md, section "Words".
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .measures import edits_of_bugs, is_headless, texts
from .tree import ROOT, documents, python_files, shown

FOLDERS = ("src", "tests", "proof", "benchmarks")
#: Pattern by the words to use instead. A wire name, a table, a column, a setting or a metric is in a code span or a
#: string, so it is not read here.
RETIRED = {
    r"under way": "in progress",
    r"nobody|somebody|whoever|whom": "name the subject: caller, client, operator, contact, no process",
    r"tak(?:e|es|en|ing) in": "record",
    r"ask(?:s|ed)? to leave": "enqueue",
    r"attic": "purge",
    r"gates?|gated": "eligibility check",
    r"lanes?": "channel, worker",
    r"parcels?": "batch",
    r"(?:is|are|was|were|be|been|went|stays?) away": "unavailable",
    r"settl(?:e|es|ed|ing)": "apply the outcome, finish, record",
    r"doors?": "API, endpoint, route, scope",
    r"worlds?": "dependencies, environment",
    r"patience|patient(?:ly)?": "limit, timeout, retry policy",
    r"fates?": "outcome",
    r"bells?": "wake-up event",
    r"shelter(?:s|ed)?": "guard",
    r"whereabouts": "time zones",
    r"watchdogs?": "follow-up, reconciliation",
    r"look(?:s|ed|ing)? after": "reconcile",
    r"desks?|towns?|houses?|victims?": "stack, processes, target",
    r"at hand": "name the moment",
    r"(?:lies|lie) (?:in|with|at|below|beside)": "is in",
}
#: Where a retired word is a name of something else, and what it names there.
NAMES_OF_OTHERS = {
    "src/ringback/embedded/privileges.py": "the user of Unix",
    "tests/embedded/test_privileges.py": "the user of Unix",
    "src/ringback/domain/places.py": "real towns",
    "src/ringback_emulator/call_store.py": "a record of the file that the emulator keeps",
}
#: The English words of a name: `take_in`, `TakeIn` and `take in` are one.
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CODE = re.compile(r"`[^`]*`|```.*?```|\]\([^)]*\)|^    .*$", re.DOTALL | re.MULTILINE)
OWN = Path(__file__)


def names(source: str) -> Iterator[str]:
    """Names that the source defines: classes, functions, arguments, variables."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def english(name: str) -> str:
    return _CAPITAL.sub(" ", name).replace("_", " ").strip().lower()


def prose(path: Path) -> Iterator[str]:
    """The English of a file, without code spans and without the targets of links."""
    text = path.read_text()
    if path.suffix == ".md":
        yield _CODE.sub(" ", text)
        return
    if path.suffix == ".txt":
        yield from (english(line) for line in text.splitlines() if re.match(r"#|\w+: ", line))
        return
    yield english(path.stem)
    for paragraph in texts(text):
        yield _CODE.sub(" ", paragraph)
    for name in names(text):
        yield english(name)


def written() -> list[Path]:
    """Every source and document, except the migrations: they are history."""
    sources = [path for folder in FOLDERS for path in python_files(ROOT / folder)]
    sources += edits_of_bugs()
    ours = [path for path in sources if path != OWN and "migrations" not in path.parts]
    return [path for path in [*ours, *documents()] if shown(path) not in NAMES_OF_OTHERS]


@cache
def all_prose() -> list[tuple[str, str]]:
    return [(shown(path), text) for path in written() for text in prose(path)]


def uses(word: str) -> list[str]:
    pattern = re.compile(rf"\b(?:{word})\b", re.IGNORECASE)
    return sorted({f"{where}: {found[0]}" for where, text in all_prose() if (found := pattern.search(text))})


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_is_nowhere(word):
    assert uses(word) == [], f"write instead: {RETIRED[word]}"


def test_docstrings_and_comments_have_subjects():
    """Fewer than one in a hundred opens or turns on a who or what clause without a noun."""
    found = [(shown(path), text) for path in python_files(ROOT / "src") for text in texts(path.read_text())]
    headless = [one for one in found if is_headless(one[1])]
    assert len(headless) < len(found) / 100, headless


def test_a_retired_word_is_found_in_every_place(tmp_path):
    path = tmp_path / "example.py"
    path.write_text('"""The gate."""\n# A lane.\ndef open_door(house): deskTop = 1\n')
    found = list(prose(path))
    assert [text for text in found if re.search(r"\b(gate|lane|door|house|desk)\b", text, re.IGNORECASE)] == [
        "The gate.",
        "A lane.",
        "open door",
        "house",
        "desk top",
    ]
    edits = tmp_path / "edits.txt"
    edits.write_text("# Of doors.\n\nno_gate: I1. A lane is enough.\nin web:Gate\n- gate()\nby test_gate.py\n")
    assert list(prose(edits)) == ["# of doors.", "no gate: i1. a lane is enough."]
    document = tmp_path / "page.md"
    document.write_text("A door. The kind `gate` in [a file](src/lane.py).\n\n    gate\n")
    assert "door" in next(prose(document))
    assert not re.search("gate|lane", next(prose(document)))
