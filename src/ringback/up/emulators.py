"""The emulators as child processes: they outlive a killed `up`, and the next one takes them over."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

START_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05
LOOPBACK = "127.0.0.1"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class EmulatorDidNotStart(Exception):
    """The child ended, or did not answer in time; its log says why."""


@dataclass(slots=True)
class Emulator:
    """One emulator. `environment` carries its keys; `state_dir` holds its state and its log."""

    kind: str  # retell or engage
    port: int
    state_dir: Path
    control_key: str
    environment: Mapping[str, str]
    options: Sequence[str] = ()
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Take over the one that runs on this state already, else start one. Raises EmulatorDidNotStart."""
        if await asyncio.to_thread(self._answers):
            return
        self.state_dir.mkdir(parents=True, exist_ok=True)
        log = (self.state_dir / "emulator.log").open("ab")
        command = [sys.executable, "-m", "ringback.cli", "emulate", self.kind]
        command += ["--port", str(self.port), "--state", str(self.state_dir), *self.options]
        # A session of its own: Ctrl-C in our terminal is for us, and we stop it when its work is done.
        self._child = subprocess.Popen(  # noqa: ASYNC220 - a child of this thread; the fork takes a millisecond
            command,
            env={**os.environ, **self.environment, "RINGBACK_API_KEY": self.control_key},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        await self._until_it_answers()

    async def _until_it_answers(self) -> None:
        assert self._child is not None, "started just now"
        async with asyncio.timeout(START_WITHIN_S):
            while not await asyncio.to_thread(self._answers):
                if self._child.poll() is not None:
                    raise EmulatorDidNotStart(f"the {self.kind} emulator ended: see {self.state_dir}/emulator.log")
                await asyncio.sleep(POLL_S)

    def _answers(self) -> bool:
        try:
            with _OPENER.open(f"{self.url}/healthz", timeout=2) as answer:
                said = json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return False
        return said.get("emulator") == self.kind and Path(said["state_dir"]).resolve() == self.state_dir.resolve()

    def is_dead(self) -> bool:
        """Whether a child of ours ended. One that was taken over is asked over HTTP instead."""
        return self._child is not None and self._child.poll() is not None

    async def stop(self) -> None:
        """End our child: SIGTERM, then SIGKILL. Ask one that an earlier `up` started to end itself.

        A process id from a file may belong to another program by now, so none is signalled.
        """
        if self._child is None:
            await asyncio.to_thread(self._ask_to_stop)
            return
        self._child.terminate()
        for _ in range(int(STOP_WITHIN_S / POLL_S)):
            if self._child.poll() is not None:
                return
            await asyncio.sleep(POLL_S)
        self._child.kill()

    def _ask_to_stop(self) -> None:
        if not self._answers():
            return
        headers = {"Authorization": f"Bearer {self.control_key}"}
        request = urllib.request.Request(f"{self.url}/emulator/{self.kind}/stop", headers=headers, method="POST")
        with suppress(OSError, urllib.error.URLError):
            _OPENER.open(request, timeout=2).close()
        give_up_at = time.monotonic() + STOP_WITHIN_S
        while self._answers() and time.monotonic() < give_up_at:
            time.sleep(POLL_S)
