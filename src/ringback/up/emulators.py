"""The emulators as child processes. They outlive a killed `up`, and the next `up` takes them over."""

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

from ringback.domain.errors import StartRefused

START_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05
LOOPBACK = "127.0.0.1"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class EmulatorDidNotStart(StartRefused):
    """The child ended, or did not respond in time. Its log has the reason."""


@dataclass(slots=True)
class Emulator:
    """One emulator. `environment` has its keys; `state_dir` has its state and its log."""

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
        """Take over the emulator that already runs on this state, else start one. Raises EmulatorDidNotStart."""
        if await asyncio.to_thread(self._responds):
            return
        self.state_dir.mkdir(parents=True, exist_ok=True)
        log = (self.state_dir / "emulator.log").open("ab")
        command = [sys.executable, "-m", "ringback.cli", "emulate", self.kind]
        command += ["--port", str(self.port), "--state", str(self.state_dir), *self.options]
        # A session of its own: Ctrl-C in the terminal must reach `up` alone, which stops the emulator last.
        self._child = subprocess.Popen(  # noqa: ASYNC220 - a child of this thread; the fork takes a millisecond
            command,
            env={**os.environ, **self.environment, "RINGBACK_API_KEY": self.control_key},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while not await asyncio.to_thread(self._responds):
                    if self._child.poll() is not None:
                        raise EmulatorDidNotStart(f"the {self.kind} emulator ended: see {self.state_dir}/emulator.log")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            late = f"the {self.kind} emulator did not respond within {START_WITHIN_S:g} s"
            raise EmulatorDidNotStart(f"{late}: see {self.state_dir}/emulator.log") from None

    def _responds(self) -> bool:
        try:
            with _OPENER.open(f"{self.url}/healthz", timeout=2) as response:
                health = json.load(response)
        except (OSError, ValueError, urllib.error.URLError):
            return False
        return health.get("emulator") == self.kind and Path(health["state_dir"]).resolve() == self.state_dir.resolve()

    def is_dead(self) -> bool:
        """Report whether the child ended. An emulator that was taken over counts as alive."""
        return self._child is not None and self._child.poll() is not None

    async def stop(self) -> None:
        """End the child with SIGTERM, then SIGKILL. Ask an emulator of an earlier `up` over HTTP to end itself.

        It gets no signal, because its process id may belong to another program by now.
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
        if not self._responds():
            return
        headers = {"Authorization": f"Bearer {self.control_key}"}
        request = urllib.request.Request(f"{self.url}/emulator/{self.kind}/stop", headers=headers, method="POST")
        with suppress(OSError, urllib.error.URLError):
            _OPENER.open(request, timeout=2).close()
        give_up_at = time.monotonic() + STOP_WITHIN_S
        while self._responds() and time.monotonic() < give_up_at:
            time.sleep(POLL_S)
