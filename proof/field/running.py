"""Run some of the project's tests in a process of their own, over any copy of the package, and say what they said."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from proof.evidence import ROOT
from proof.planted.bug import START

SOURCE = ROOT / "src"
#: Loaded by each pytest that finds it installed, it would be half of a short run, and none of these tests needs it.
WITHOUT = ("-p", "no:schemathesis")
#: What pytest is stopped with gives its servers the time to end.
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class TestSaid:
    """One phase of one test. `is_rule`: the test itself said, by an assertion of its own, that a rule does not hold."""

    __test__ = False

    test: str
    phase: str
    outcome: str
    error: str
    is_rule: bool
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """`exit_code` None: it took too long. `package` is the `ringback` that was imported, "" if nothing was told.
    `installed` names the planted bugs of the process."""

    exit_code: int | None
    package: str
    said: tuple[TestSaid, ...]
    output: str
    installed: tuple[str, ...] = ()

    @property
    def calls(self) -> list[TestSaid]:
        return [one for one in self.said if one.phase == "call"]

    @property
    def trouble(self) -> list[TestSaid]:
        """Whatever did not simply pass."""
        return [one for one in self.said if one.outcome != "passed"]


async def run_tests(
    nodes: Sequence[str],
    *,
    package_folder: Path = SOURCE,
    options: Sequence[str] = (),
    database_url: str | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float,
) -> Told:
    """Python looks into `package_folder` before it looks at what is installed. Without a `database_url` the tests start
    a PostgreSQL of their own when they need one. `environment` has the variables of a planted bug."""
    with tempfile.TemporaryDirectory(prefix="told-") as folder:
        seen = Path(folder) / "seen.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            # All of them: the default leaves the slow ones out.
            *("-m", ""),
            "-q",
            "-p",
            "no:cacheprovider",
            *WITHOUT,
            "-p",
            "proof.field.witness",
        ]
        command += ["--witness", str(seen), "--basetemp", str(Path(folder) / "tmp"), *options, *nodes]
        also = {**environment, "PYTHONPATH": os.pathsep.join(map(str, (START, package_folder, ROOT)))}
        if database_url is not None:
            also["RINGBACK_TEST_DATABASE_URL"] = database_url
        output = Path(folder) / "output"
        with output.open("wb") as file:
            exit_code = await _run(command, also, file, timeout_s)
        told: dict[str, Any] = {"package": "", "installed": [], "reports": []}
        if seen.exists():
            told = json.loads(seen.read_text())
        text = output.read_text(errors="replace")
    if exit_code is None:
        text += f"\nno end within {timeout_s:g} s"
    said = tuple(TestSaid(**report) for report in told["reports"])
    return Told(exit_code, told["package"], said, text, tuple(told["installed"]))


async def _run(command: Sequence[str], also: Mapping[str, str], output: IO[bytes], timeout_s: float) -> int | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**environment, **also},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Of a process that is still there: interrupted, so that its servers end, and then whatever is left of it."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
