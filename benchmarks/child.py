"""A process of the run: started with an environment of its own, measured, and always ended."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
#: The environment of the queues that the product is compared with.
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
READY_WITHIN_S = 30.0
STOPS_WITHIN_S = 30.0
_PR_SET_PDEATHSIG = 1


class BenchmarkFailed(Exception):
    """A process of the run died, refused work, or did other work than it was given."""


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """`python -m <module> <arguments>`; what it writes goes to `log`."""

    def __init__(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], log: Path, python: str = sys.executable
    ) -> None:
        self._log = log
        with open(log, "wb") as out:
            self._process = subprocess.Popen(
                [python, "-m", module, *arguments],
                cwd=ROOT,
                # The package beside these benchmarks is what is measured, also in a second checkout.
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT / "src"), **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=_end_with_parent,
            )
        self._measured = psutil.Process(self._process.pid)

    def cpu_s(self) -> float:
        self.check()
        times = self._measured.cpu_times()
        return float(times.user + times.system)

    def pause(self) -> None:
        """Stop the process until `go_on`."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def resident_bytes(self) -> int:
        return int(self._measured.memory_info().rss)

    def peak_resident_bytes(self) -> int:
        """The most memory it has had (Linux, proc(5))."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def check(self) -> None:
        """Raises BenchmarkFailed if it is not running any more."""
        if self._process.poll() is not None:
            raise BenchmarkFailed(f"{self._log.stem} ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])

    async def listens(self, port: int) -> None:
        """Returns once the port can be connected to."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            self.check()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise BenchmarkFailed(f"{self._log.stem} does not listen:\n{self.tail()}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; a second call does nothing."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        self.go_on()
        try:
            self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
