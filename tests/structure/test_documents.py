"""The documents and the tree say the same."""

import re
from pathlib import Path

import pytest
import typer.main

from ringback.cli import app
from ringback.config import describe, read_settings
from ringback.domain.operations import RULES
from ringback.telemetry import make_metrics

from .tree import LINK, PRODUCT, ROOT, documents, python_files, shown

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def links_of(document: Path) -> list[tuple[Path, str]]:
    """(file, anchor) of every link that does not leave the repository."""
    found = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    parted = [link.partition("#") for link in found]
    return [((document.parent / path).resolve() if path else document, anchor) for path, _, anchor in parted]


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", documents(), ids=shown)
def test_every_link_leads_somewhere(document):
    broken = [f"{path} #{anchor}" for path, anchor in links_of(document) if not path.exists()]
    lost = [f"{path} #{anchor}" for path, anchor in links_of(document) if anchor and anchor not in anchors(path)]
    assert (broken, lost) == ([], [])


@pytest.mark.parametrize("document", documents(), ids=shown)
def test_every_path_that_is_named_exists(document):
    named = re.findall(r"`((?:src|tests|docs|benchmarks|deploy|requirements)/[\w./-]+)`", document.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=shown)
def test_every_command_that_is_named_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text()
    asked = re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.MULTILINE)
    assert [name for name in asked if name not in targets] == []
    known = set(typer.main.get_command(app).commands)
    asked = re.findall(r"(?:`|bin/)ringback ([a-z][a-z-]*)", text)
    assert [name for name in asked if name not in known] == []


def test_the_first_two_commands_are_the_demonstration_and_the_tests():
    assert re.findall(r"^ {4}(\S.*?)(?:  +#.*)?$", README, re.MULTILINE)[:2] == ["make demo", "make test"]


def test_the_architecture_names_every_service_and_flow():
    files = python_files(PRODUCT / "services", PRODUCT / "flows")
    linked = {path for path, _ in links_of(ROOT / "docs" / "architecture.md")}
    missing = [shown(path) for path in files if path.resolve() not in linked]
    assert [name for name in missing if not name.endswith(("services/__init__.py", "flows/__init__.py"))] == []


def test_the_architecture_names_every_table():
    scripts = [path.read_text() for path in (PRODUCT / "adapters" / "postgres").rglob("*.sql")]
    tables = re.findall(r"^CREATE TABLE (\w+)", "\n".join(scripts), re.MULTILINE)
    assert tables
    assert [name for name in tables if f"| `{name}` |" not in ARCHITECTURE] == []


def test_every_setting_is_explained_with_its_defaults():
    rows = [line.strip("|").split("|") for line in OPERATIONS.splitlines() if re.match(r"\| `[A-Z_]+` \|", line)]
    written = {cells[0].strip(" `"): [cell.strip(" `") for cell in cells[2:]] for cells in rows}
    production = {name: value for name, value, _ in describe(read_settings({}, emulated=False))}
    emulated = {name: value for name, value, _ in describe(read_settings({}, emulated=True))}
    assert written.keys() == production.keys()
    wrong = {name for name, value in production.items() if value and written[name][0] != value}
    wrong |= {name for name, value in emulated.items() if value != production[name] and written[name][1] != value}
    assert wrong == set()


def test_how_long_rows_are_kept_is_told_as_it_is():
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+)", OPERATIONS, re.MULTILINE))
    assert {rule.what: str(rule.kept.days) for rule in RULES}.items() <= told.items()


def test_every_metric_is_explained():
    sources = "\n".join(path.read_text() for path in python_files(PRODUCT))
    watched = set(re.findall(r"watch(?:_all)?\(\s*\"(\w+)\"", sources))
    watched |= set(re.findall(r"\"(\w+)\": lambda: asdict", sources))
    names = {f"ringback_{name}_total" for name in watched}
    names |= {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in make_metrics().registry.collect()
    }
    assert set(re.findall(r"`(ringback_\w+)` \|", OPERATIONS)) == names


@pytest.mark.parametrize("decision", DECISIONS, ids=shown)
def test_a_decision_is_a_page_with_four_parts(decision):
    text = decision.read_text()
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles == ["Context", "Decision", "Alternatives considered", "Consequences"]
    assert text.startswith(f"# {decision.name[:4]} ")
    assert len(text.split()) <= 500
    assert f"]({decision.name})" in (decision.parent / "README.md").read_text()


def test_decisions_are_numbered_without_gaps():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
