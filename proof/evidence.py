"""Evidence on disk: one JSON file a suite, with all that is needed to run it again and to compare figures."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.findings import Findings, Size
from proof.invariants import Invariant
from proof.suites import NAMES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "evidence"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one run of one suite left. `commit` ends in `-dirty` if the tree was changed; `planted` is, per bug, what it
    aims at, whether it was caught, and what happened `instead`; `error` says how the suite itself failed."""

    suite: str
    commit: str
    size: str
    seed: int
    duration_s: float
    cases: Mapping[str, int] = field(default_factory=dict)
    violations: list[dict[str, str]] = field(default_factory=list)
    planted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""
    error: str | None = None

    @property
    def holds(self) -> bool:
        caught = all(bug["caught"] for bug in self.planted.values())
        return self.error is None and bool(self.cases or self.planted) and not self.violations and caught

    def write(self, folder: Path = FOLDER) -> None:
        folder.mkdir(exist_ok=True)
        content = {name: getattr(self, name) for name in self.__slots__}
        (folder / f"{self.suite}.json").write_text(json.dumps(content, indent=2, default=str) + "\n")


def from_findings(found: Findings, size: Size, duration_s: float) -> Evidence:
    return Evidence(
        suite=found.suite,
        commit=commit(),
        size=size,
        seed=found.seed,
        duration_s=round(duration_s, 1),
        cases={invariant.value: found.cases[invariant] for invariant in Invariant if found.cases[invariant]},
        violations=[
            {"invariant": one.invariant, "what": one.what, "reproduce": one.reproduce} for one in found.violations
        ],
        planted={
            bug: {
                "aims": list(found.aims.get(bug, ())),
                "caught": caught,
                **({"instead": found.misses[bug]} if bug in found.misses else {}),
            }
            for bug, caught in found.planted.items()
        },
        counts=found.counts,
        settings=found.settings,
        machine=machine(),
    )


def from_failure(suite: str, size: Size, seed: int, duration_s: float, error: Exception) -> Evidence:
    return Evidence(suite, commit(), size, seed, round(duration_s, 1), error=f"{type(error).__name__}: {error}")


def read(folder: Path = FOLDER) -> list[Evidence]:
    """Of the suites that have any, in the order in which they run."""
    paths = (folder / f"{name}.json" for name in NAMES)
    return [Evidence(**json.loads(path.read_text())) for path in paths if path.exists()]


def commit() -> str:
    """Of the tree that is being proved. What the proof writes itself does not make the tree dirty."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!evidence", ":!README.md", ":!docs/proof.md")
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
