"""Processes forked from a server that has imported everything once: the forkserver of multiprocessing.

They die with the server, and the server with this process.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

#: Says "ready", or "reached" a point, and what belongs to it.
Tell = Callable[..., None]
Life = Callable[[Any, Tell], None]

CONTEXT = multiprocessing.get_context("forkserver")
# Each fork runs the main script under another name, and pytest's imports pytest.
PRELOADED = ["proof.harness.preloaded", *({"pytest"} & sys.modules.keys())]
CONTEXT.set_forkserver_preload(PRELOADED)
_PR_SET_PDEATHSIG = 1  # prctl(2): what the kernel sends to a child whose parent has ended


def live(life: Life, spec: Any, log: Path, reports: Connection) -> None:
    """Run one life in the forked process. Never returns. Its output goes to `log`."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(opened, standard)
        life(spec, lambda *said: reports.send(said))
    except BaseException:  # noqa: BLE001 - it is the log's
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(70)


def fork(life: Life, spec: Any, log: Path) -> tuple[ForkServerProcess, Connection]:
    """A started process and what it reports."""
    reports, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=live, args=(life, spec, log, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, reports


class Child:
    """`reached` is the point that killed it. `status` is its exit code, or minus the signal."""

    def __init__(self, life: Life, spec: Any, log: Path) -> None:
        self.ready, self.ended = asyncio.Event(), asyncio.Event()
        self.reached: str | None = None
        self.status: int | None = None
        self._process, self._reports = fork(life, spec, log)
        asyncio.get_running_loop().add_reader(self._reports.fileno(), self._hear)

    async def kill(self) -> None:
        """Returns once it is gone."""
        if not self.ended.is_set():
            self._process.kill()
            await self.ended.wait()

    def _hear(self) -> None:
        try:
            while self._reports.poll():
                says, *more = self._reports.recv()
                if says == "ready":
                    self.ready.set()
                else:
                    self.reached = more[0]
        except (EOFError, ConnectionError):
            asyncio.get_running_loop().remove_reader(self._reports.fileno())
            self._reports.close()
            self._process.join()
            self.status = self._process.exitcode
            self.ended.set()


async def start_server(*modules: str) -> None:
    """Takes the seconds of all imports, in which a first fork would block the event loop. `modules` have the lives."""
    CONTEXT.set_forkserver_preload([*modules, *PRELOADED])
    first = CONTEXT.Process(target=os.getpid, daemon=True)
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(first.join)
