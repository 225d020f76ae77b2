"""The emulators of one trial in one process that survives every kill, with a wire log before the emulated Retell.

The wire log is the oracle's own. Of each create-phone-call it has the bytes, the time, and whether the attempt was a
committed row of the database at that moment. It also refuses a create if the call's metadata says so.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import asyncpg
import standardwebhooks.webhooks
import uvloop
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proof.crashes.shared_page import SharedPage
from proof.harness import emulators
from proof.harness.forks import Tell
from ringback.adapters.postgres.pool import keep_session
from ringback.logs import configure_logs
from ringback.web.limits import replayed
from ringback_emulator.json_lines import JsonLinesFile

_CREATE = "/v2/create-phone-call"
#: In a call's metadata: so many of its creates are answered 500, and no phone rings.
REFUSALS_KEY = "proof_refusals"


def live(spec: dict[str, Any], tell: Tell) -> None:
    """`spec`: that of `emulators.serve`, and `page` and `database_url`."""
    configure_logs("json", sys.stderr)
    _live_by(SharedPage(Path(spec["page"])))

    async def serve() -> None:
        database = await asyncpg.create_pool(spec["database_url"], min_size=1, max_size=2, reset=keep_session)
        state = Path(spec["state"])
        state.mkdir(parents=True)
        journal = JsonLinesFile(state / "creates.jsonl")
        await emulators.serve(spec, lambda: tell("ready"), lambda retell: WireLog(retell, journal, database))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _live_by(page: SharedPage) -> None:
    """The emulators read the machine's clock; in this process it is the testbed's."""
    real_ns = time.time_ns

    class TestbedTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "TestbedTime":
            return super().now(tz) + timedelta(seconds=page.ahead_s)

    time.time_ns = lambda: real_ns() + int(page.ahead_s * 1e9)
    vars(standardwebhooks.webhooks)["datetime"] = TestbedTime


class WireLog:
    """ASGI middleware: records every create-phone-call before the emulator sees it."""

    def __init__(self, app: ASGIApp, journal: JsonLinesFile, database: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._app = app
        self._journal = journal
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
        self._journal.append({"at_ms": at_ms, "attempt_id": attempt_id, "body": body.decode(), "row": state})
        if self._refused[attempt_id] < metadata.get(REFUSALS_KEY, 0):
            self._refused[attempt_id] += 1
            await JSONResponse({"status": "error", "message": "refused"}, 500)(scope, receive, send)
            return
        await self._app(scope, replayed(body, receive), send)
