"""The emulators as child processes: they outlive a killed `up`, and the next one takes them over."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05


class EmulatorDidNotStart(Exception):
    """The child ended, or did not answer in time; its log says why."""


@dataclass(slots=True)
class Emulator:
    """One of them. `environment` carries its keys; its state and its log lie in `state_dir`."""

    kind: str  # retell or engage
    host: str
    port: int
    state_dir: Path
    environment: Mapping[str, str]
    options: Sequence[str] = ()
    pid: int | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Take over the one that runs on this state already, else start one. Raises EmulatorDidNotStart."""
        if await asyncio.to_thread(self._answers):
            return
        self.state_dir.mkdir(parents=True, exist_ok=True)
        log = (self.state_dir / "emulator.log").open("ab")
        command = [sys.executable, "-m", "ringback.cli", "emulate", self.kind, "--host", self.host]
        command += ["--port", str(self.port), "--state", str(self.state_dir), *self.options]
        # A session of its own: Ctrl-C in our terminal is for us, and we stop it when its work is done.
        self._child = subprocess.Popen(  # noqa: ASYNC220 - a child of this thread; the fork takes a millisecond
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.pid = self._child.pid
        await self._until_it_answers()

    async def _until_it_answers(self) -> None:
        assert self._child is not None, "started just now"
        async with asyncio.timeout(START_WITHIN_S):
            while not await asyncio.to_thread(self._answers):
                if self._child.poll() is not None:
                    raise EmulatorDidNotStart(f"the {self.kind} emulator ended: see {self.state_dir}/emulator.log")
                await asyncio.sleep(POLL_S)

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/healthz", timeout=2) as answer:
                said = json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return False
        return said.get("emulator") == self.kind and Path(said["state_dir"]).resolve() == self.state_dir.resolve()

    def is_dead(self) -> bool:
        """Only of a child of our own; one that was taken over is asked over HTTP instead."""
        return self._child is not None and self._child.poll() is not None

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; also for one that an earlier `up` had started."""
        if self.pid is None or not await asyncio.to_thread(self._answers):
            return
        os.kill(self.pid, signal.SIGTERM)
        for _ in range(int(STOP_WITHIN_S / POLL_S)):
            if self._child is not None and self._child.poll() is not None:
                return
            if self._child is None and not _exists(self.pid):
                return
            await asyncio.sleep(POLL_S)
        os.kill(self.pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
