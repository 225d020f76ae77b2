"""One planted bug on trial: its tests run with the bug, and whether one of their assertions fails."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from proof.field.running import Told, run_tests
from proof.planted.bug import PlantedBug, Replacement, TextPatch
from proof.planted.target import PACKAGE

PACKAGES = (PACKAGE, "ringback_emulator")
#: Each bug's tests take seconds. On a machine that is busy with other work they take minutes.
TRIAL_TIMEOUT_S = 240.0
CONTROL_TIMEOUT_S = 1800.0


class ControlFailed(Exception):
    """The tests do not pass on the package as it is, so their failures would prove nothing."""


class Judgement(StrEnum):
    CAUGHT = "caught"
    NOT_CAUGHT = "not caught"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`how`: the test that caught the bug, or what the tests did instead."""

    judgement: Judgement
    how: str

    @property
    def is_caught(self) -> bool:
        return self.judgement is Judgement.CAUGHT

    def __str__(self) -> str:
        return f"{self.judgement}: {self.how}"


@dataclass(frozen=True, slots=True)
class Court:
    """`source` holds the package as it is; `database_url` None: tests that need a PostgreSQL start their own."""

    source: Path
    database_url: str | None = None

    async def control(self, nodes: Sequence[str]) -> None:
        """Run the tests on the package as it is, and once more those that other work may have kept from passing.

        Raises ControlFailed.
        """
        told = await self._run_control(sorted(set(nodes)))
        if told.exit_code != 0 or told.trouble:
            again = {one.test for one in told.trouble if told.exit_code == 1} or set(nodes)
            told = await self._run_control(sorted(again))
        if not _is_about(told, self.source, []):
            raise ControlFailed(f"another package was tested: {told.package or 'none'}: {told.output[-2000:]}")
        if told.exit_code != 0 or told.trouble:
            raise ControlFailed(told.output[-4000:])

    async def _run_control(self, nodes: Sequence[str]) -> Told:
        return await run_tests(
            nodes, package_folder=self.source, database_url=self.database_url, timeout_s=CONTROL_TIMEOUT_S
        )

    async def try_bug(self, bug: PlantedBug, timeout_s: float = TRIAL_TIMEOUT_S) -> Verdict:
        """Raises CodeMoved."""
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            source = self.source
            if isinstance(bug, TextPatch):
                source = copy_package(self.source, Path(folder))
                bug.plant(source / PACKAGE)
            told = await run_tests(
                bug.nodes,
                package_folder=source,
                options=("-x",),
                database_url=self.database_url,
                environment=bug.environment() if isinstance(bug, Replacement) else {},
                timeout_s=timeout_s,
            )
            return judge(told, source, [bug.name] if isinstance(bug, Replacement) else [])


def copy_package(source: Path, folder: Path) -> Path:
    """With its compiled files, which Python takes for as long as a source keeps its time and size."""
    for package in PACKAGES:
        shutil.copytree(source / package, folder / package)
    return folder


def judge(told: Told, source: Path, installed: Sequence[str]) -> Verdict:
    """Caught is a test's own assertion about the package in `source`, in a process with these bugs `installed`.

    A miss is a run in which every test passed. An import that fails, a fixture that does, a test that falls over, and a
    run without an end say nothing about the rule: the bug is not judged.
    """
    failed = [one for one in told.said if one.outcome == "failed"]
    rule = next((one for one in failed if one.is_rule), None)
    if told.exit_code is not None and not _is_about(told, source, installed):
        problem = f"another package was tested: {told.package or 'none'}, with {list(told.installed)}"
    elif told.exit_code == 1 and rule is not None:
        return Verdict(Judgement.CAUGHT, f"{rule.test}: {rule.error.partition(chr(10))[0]}")
    elif told.exit_code == 0 and told.calls and not told.trouble:
        return Verdict(Judgement.NOT_CAUGHT, f"every test passed: {', '.join(one.test for one in told.calls)}")
    elif failed:
        problem = f"{failed[0].test} fell over in its {failed[0].phase}: {failed[0].error.partition(chr(10))[0]}"
    else:
        problem = "pytest did not end in time" if told.exit_code is None else f"pytest ended with {told.exit_code}"
    return Verdict(Judgement.NOT_JUDGED, f"{problem}: {told.output[-600:]}")


def _is_about(told: Told, source: Path, installed: Sequence[str]) -> bool:
    return bool(told.package) and Path(told.package).is_relative_to(source) and list(told.installed) == list(installed)
