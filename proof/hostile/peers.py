"""Retell and Engage at their worst: their refusals repeat the request to the last byte, the caller's key included."""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ringback.web.server import listen

Json = dict[str, Any]


@dataclass
class HostilePeers:
    """Both in a thread. `refused` maps a phone number to the status of its create-phone-call, 0 hangs up; other calls
    are placed. Engage answers `engage_status`."""

    refused: dict[str, int] = field(default_factory=dict)
    engage_status: int = 200
    words: str = ""
    placed: list[Json] = field(default_factory=list)
    url: str = ""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def start(self) -> None:
        bound = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._answer)

        async def serve() -> None:
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.SockSite(runner, bound).start()

        threading.Thread(target=self._loop.run_forever, name="peers", daemon=True).start()
        asyncio.run_coroutine_threadsafe(serve(), self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def rung_for(self, call_id: str) -> Json | None:
        placed = list(self.placed)
        return next((call for call in placed if call["metadata"]["ringback_call_id"] == call_id), None)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        status, answer = self._decide(request.path, raw)
        if status == 0:
            assert request.transport is not None, "connected"
            request.transport.close()
            return web.Response()
        if answer is None:
            said = {"error_message": f"{self.words}: {raw.decode()}", "you": dict(request.headers.items())}
            answer = {"status": "error", "message": json.dumps(said), **said}
        return web.json_response(answer, status=status)

    def _decide(self, path: str, raw: bytes) -> tuple[int, Mapping[str, Any] | None]:
        """Status and answer; without an answer the request is repeated."""
        if path.endswith("/create-phone-call"):
            asked = json.loads(raw)
            status = self.refused.get(asked["to_number"], 201)
            if status != 201:
                return status, None
            call_id = f"call_{len(self.placed):027d}"
            self.placed.append({"call_id": call_id, **asked})
            return 201, {"call_id": call_id, "call_type": "phone_call", "call_status": "registered"}
        if "/list-calls" in path:
            return 200, {"items": [], "has_more": False}
        if path.startswith("/engage/"):
            return self.engage_status, None if self.engage_status >= 400 else {}
        return (200, {"agent_id": "agent_sales"}) if "/get-agent" in path else (404, None)
