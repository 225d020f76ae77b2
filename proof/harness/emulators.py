"""The emulated Retell and Engage in one process: their ledgers survive every kill of the product."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from starlette.types import ASGIApp

from proof.harness.ports import listening
from ringback.logs import configure_logs
from ringback.web.server import serve_http
from ringback_emulator import engage, retell
from ringback_emulator.settings import EngageEmulatorSettings, RetellEmulatorSettings


async def serve(
    spec: dict[str, Any], announce: Callable[[], None], around_retell: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> None:
    """Until the process is killed. `spec`: `state` (a directory), and of `retell` and `engage`, which may be missing,
    the settings and the `port`."""
    import ringback_emulator.dialogues  # noqa: F401 - else the first call waits for it

    state = Path(spec["state"])
    state.mkdir(parents=True, exist_ok=True)
    apps: list[tuple[ASGIApp, int]] = []
    if "retell" in spec:
        port = spec["retell"].pop("port")
        apps.append((around_retell(retell.create_app(RetellEmulatorSettings(state_dir=state, **spec["retell"]))), port))
    if "engage" in spec:
        port = spec["engage"].pop("port")
        apps.append((engage.create_app(EngageEmulatorSettings(state_dir=state, **spec["engage"])), port))
    never, ready = asyncio.Event(), [asyncio.Event() for _ in apps]
    async with asyncio.TaskGroup() as group:
        for (app, port), is_ready in zip(apps, ready, strict=True):
            group.create_task(serve_http(app, listening(port), never, is_ready))
        for is_ready in ready:
            await is_ready.wait()
        announce()


def main(spec: str) -> None:
    configure_logs("json", sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(json.loads(spec), lambda: None))


if __name__ == "__main__":
    main(*sys.argv[1:])
