"""One planted bug on trial: a patched copy of the package, the tests named for it, and whether they caught it."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proof.field.running import Told, run_tests
from proof.planted.bug import PlantedBug

PACKAGE = "ringback"
PACKAGES = (PACKAGE, "ringback_emulator")
#: Each bug's tests take seconds; a machine that is busy with everything else gets its time.
TRIAL_TIMEOUT_S = 240.0
CONTROL_TIMEOUT_S = 900.0


class ControlFailed(Exception):
    """The tests do not pass on the package as it is, so their failures would prove nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    caught: bool
    how: str


@dataclass(frozen=True, slots=True)
class Court:
    """`source` holds the package as it is; `database_url` None: tests that need a PostgreSQL start their own."""

    source: Path
    database_url: str | None = None

    async def control(self, nodes: Sequence[str]) -> None:
        """The tests on the package as it is. Raises ControlFailed."""
        told = await run_tests(
            sorted(set(nodes)),
            package_folder=self.source,
            database_url=self.database_url,
            timeout_s=CONTROL_TIMEOUT_S,
        )
        if not _is_about(told, self.source):
            raise ControlFailed(f"another package was tested: {told.package or 'none'}: {told.output[-2000:]}")
        if told.exit_code != 0 or told.trouble:
            raise ControlFailed(told.output[-4000:])

    async def try_bug(self, bug: PlantedBug) -> Verdict:
        """Raises CodeMoved."""
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            copy = copy_package(self.source, Path(folder))
            bug.plant(copy / PACKAGE)
            told = await run_tests(
                bug.nodes,
                package_folder=copy,
                options=("-x",),
                database_url=self.database_url,
                timeout_s=TRIAL_TIMEOUT_S,
            )
            return judge(told, copy)


def copy_package(source: Path, folder: Path) -> Path:
    """With its compiled files, which Python takes for as long as a source keeps its time and size."""
    for package in PACKAGES:
        shutil.copytree(source / package, folder / package)
    return folder


def judge(told: Told, copy: Path) -> Verdict:
    """Caught is a test's own assertion about the copy. An import that fails, a fixture that does, a test that falls
    over, and a run without an end say nothing about the rule."""
    if told.exit_code is None:
        return Verdict(False, told.output)
    if not _is_about(told, copy):
        return Verdict(False, f"another package was tested: {told.package or 'none'}: {told.output[-600:]}")
    if told.exit_code == 0:
        return Verdict(False, "every test passed")
    failed = [one for one in told.said if one.outcome == "failed"]
    if told.exit_code != 1 or not failed:
        return Verdict(False, f"pytest ended with {told.exit_code}: {told.output[-600:]}")
    first = next((one for one in failed if one.is_rule), failed[0])
    return Verdict(first.is_rule, f"{first.test}: {first.error.partition(chr(10))[0]}")


def _is_about(told: Told, folder: Path) -> bool:
    return bool(told.package) and Path(told.package).is_relative_to(folder)
