"""Runs an emulator as a process."""

from types import FrameType

import uvicorn
from starlette.applications import Starlette


class _Server(uvicorn.Server):
    """Leaves at a signal without raising it once more, so that a wanted end is an exit with 0."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        app = self.config.app
        if isinstance(app, Starlette):
            app.state.leaving = True


def run(app: Starlette, host: str, port: int) -> None:
    """Blocks until SIGTERM or SIGINT, then returns; requests under way are given one second to finish.

    `app.state.leaving` becomes true at the signal, for requests that would otherwise never end.
    """
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    _Server(config).run()
