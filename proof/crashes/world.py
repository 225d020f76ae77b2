"""The world of one trial in one process that survives every kill: the emulated Retell, the emulated Engage, a wire log.

The wire log is the oracle's own: of each create-phone-call its bytes, when they came, and whether the attempt they
name was a committed row of the database at that moment. It also refuses what a call's metadata asks to be refused.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import asyncpg
import standardwebhooks.webhooks
import uvloop
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proof.crashes.product import bound_socket
from proof.crashes.shared_page import SharedPage
from ringback.logs import configure_logs
from ringback.web.limits import replayed
from ringback.web.server import serve_http
from ringback_emulator import engage, retell
from ringback_emulator.json_lines import JsonLinesFile
from ringback_emulator.settings import EngageEmulatorSettings, RetellEmulatorSettings

Tell = Callable[..., None]
_CREATE = "/v2/create-phone-call"
#: In a call's metadata: so many of its creates are answered 500 and nobody's phone rings.
REFUSALS_KEY = "proof_refusals"


def import_everything() -> None:
    import ringback_emulator.dialogues  # noqa: F401


def live(spec: dict[str, Any], tell: Tell) -> None:
    """`spec`: `page`, `state` (a new directory), `retell` and `engage` (settings and `port`), `database_url`."""
    configure_logs("json", sys.stderr)
    _live_by(SharedPage(Path(spec["page"])))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(spec, tell))


def _live_by(page: SharedPage) -> None:
    """The emulators read the machine's clock; in this process it is the lane's."""
    real_ns = time.time_ns

    class LaneTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "LaneTime":
            return super().now(tz) + timedelta(seconds=page.leap_s)

    time.time_ns = lambda: real_ns() + int(page.leap_s * 1e9)
    vars(standardwebhooks.webhooks)["datetime"] = LaneTime


async def _run(spec: dict[str, Any], tell: Tell) -> None:
    state = Path(spec["state"])
    ports = spec["retell"].pop("port"), spec["engage"].pop("port")
    retell_app = retell.create_app(RetellEmulatorSettings(state_dir=state, **spec["retell"]))
    engage_app = engage.create_app(EngageEmulatorSettings(state_dir=state, **spec["engage"]))
    database = await asyncpg.create_pool(spec["database_url"], min_size=1, max_size=2)
    apps: list[ASGIApp] = [WireLog(retell_app, JsonLinesFile(state / "creates.jsonl"), database), engage_app]
    ready = [asyncio.Event() for _ in apps]
    never = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for app, port, is_ready in zip(apps, ports, ready, strict=True):
            group.create_task(serve_http(app, bound_socket(port), never, is_ready))
        for is_ready in ready:
            await is_ready.wait()
        tell("ready")


class WireLog:
    """ASGI middleware: writes down every create-phone-call before the emulator sees it."""

    def __init__(self, app: ASGIApp, file: JsonLinesFile, database: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._app = app
        self._file = file
        self._database = database
        self._refused: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != _CREATE:
            await self._app(scope, receive, send)
            return
        at_ms = time.time_ns() // 1_000_000
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        metadata = json.loads(body).get("metadata") or {}
        attempt_id = str(metadata.get("ringback_attempt_id"))
        state = await self._database.fetchval("SELECT state FROM attempts WHERE attempt_id = $1", attempt_id)
        self._file.append({"at_ms": at_ms, "attempt_id": attempt_id, "body": body.decode(), "row": state})
        if self._refused[attempt_id] < metadata.get(REFUSALS_KEY, 0):
            self._refused[attempt_id] += 1
            await JSONResponse({"status": "error", "message": "refused"}, 500)(scope, receive, send)
            return
        await self._app(scope, replayed(body, receive), send)
