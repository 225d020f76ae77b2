"""Runs an emulator as a process."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
#: An emulator outlives a killed owner, so that the calls go on. It does not outlive it for ever.
ORPHAN_GRACE_S = 600.0
OWNER_CHECK_S = 2.0


class _Server(uvicorn.Server):
    """Leaves at a signal without raising it once more, so that a wanted end is an exit with 0."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        app = self.config.app
        if isinstance(app, Starlette):
            app.state.leaving = True


def run(app: Starlette, port: int, owner_file: Path | None = None) -> None:
    """Serve on loopback until SIGTERM, SIGINT or a stop request; requests in progress get one second to finish.

    `app.state.leaving` becomes true at the end, for requests that would otherwise never finish. `owner_file` holds the
    process id of the owner: an emulator without a living owner for ORPHAN_GRACE_S ends by itself.
    """
    config = uvicorn.Config(
        app, host=LOOPBACK, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    app.state.stop = lambda: server.handle_exit(signal.SIGTERM, None)
    if owner_file is not None:
        threading.Thread(target=_end_without_owner, args=(owner_file, app.state.stop), daemon=True).start()
    server.run()


def _end_without_owner(owner_file: Path, stop: Callable[[], None], grace_s: float = ORPHAN_GRACE_S) -> None:
    """Call `stop` once no owner has lived for `grace_s`. The next owner may come within it and find us."""
    seen_at = time.monotonic()
    while time.monotonic() - seen_at < grace_s:
        if _has_living_owner(owner_file):
            seen_at = time.monotonic()
        time.sleep(min(OWNER_CHECK_S, grace_s / 4))
    stop()


def _has_living_owner(owner_file: Path) -> bool:
    try:
        os.kill(int(owner_file.read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
