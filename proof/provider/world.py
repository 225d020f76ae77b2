"""The world outside the product in a process of its own: the emulated Retell and the emulated Engage."""

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvloop

from ringback.logs import configure_logs
from ringback.web.server import serve_http
from ringback_emulator import engage, retell
from ringback_emulator.settings import EngageEmulatorSettings, RetellEmulatorSettings


async def live(spec: dict[str, object]) -> None:
    """Until it is killed. `spec`: `state` (a directory), the inherited listening descriptors `retell_fd` and
    `engage_fd`, `retell` (settings) and `engage_secret`. Says "ready" on stdout."""
    import ringback_emulator.dialogues  # noqa: F401 - else the first call waits for it

    state = Path(str(spec["state"]))
    settings = spec["retell"]
    assert isinstance(settings, dict)
    apps = (
        retell.create_app(RetellEmulatorSettings(state_dir=state, **settings)),
        engage.create_app(EngageEmulatorSettings(state_dir=state, secret=str(spec["engage_secret"]))),
    )
    bound = [socket.socket(fileno=int(str(spec[name]))) for name in ("retell_fd", "engage_fd")]
    ready = [asyncio.Event() for _ in apps]
    never = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for app, door, is_ready in zip(apps, bound, ready, strict=True):
            group.create_task(serve_http(app, door, never, is_ready))
        for is_ready in ready:
            await is_ready.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure_logs("json", sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live(json.loads(sys.argv[1])))
