"""Retell and Engage at their worst: whatever they refuse, they repeat to the last byte, the caller's key included."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass
class World:
    """`refused` maps a phone number to the status of its create-phone-call, 0 hangs up; all others are placed.
    `engage_status` is what Engage answers."""

    refused: dict[str, int] = field(default_factory=dict)
    engage_status: int = 200
    words: str = ""
    placed: list[Json] = field(default_factory=list)
    heard: list[Json] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None, "started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        world = self

        class Door(_Door):
            told = world

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="world", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def create(self, asked: Json) -> tuple[int, Json | None]:
        """None: refused."""
        status = self.refused.get(asked["to_number"], 201)
        if status != 201:
            return status, None
        with self._lock:
            call = {"call_id": f"call_{len(self.placed):027d}", "metadata": asked["metadata"], **asked}
            self.placed.append(call)
        return 201, {"call_id": call["call_id"], "call_type": "phone_call", "call_status": "registered"}

    def rung_for(self, call_id: str) -> Json | None:
        with self._lock:
            return next((call for call in self.placed if call["metadata"]["ringback_call_id"] == call_id), None)


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: World

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, answer = self._decide(raw)
        if status == 0:
            self.close_connection = True
            return
        if answer is None:
            said = {"error_message": f"{self.told.words}: {raw.decode()}", "you": dict(self.headers.items())}
            answer = {"status": "error", "message": json.dumps(said), **said}
        content = json.dumps(answer).encode()
        self.send_response(status, "Refused" if status >= 400 else "OK")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _decide(self, raw: bytes) -> tuple[int, Mapping[str, Any] | None]:
        if re.fullmatch(r"/v[0-9]+/create-phone-call", self.path):
            return self.told.create(json.loads(raw))
        if "/list-calls" in self.path:
            return 200, {"items": [], "has_more": False}
        if self.path.startswith("/engage/"):
            self.told.heard.append({"path": self.path, "body": json.loads(raw)})
            return self.told.engage_status, None if self.told.engage_status >= 400 else {}
        if "/get-agent" in self.path:
            return 200, {"agent_id": "agent_sales"}
        return 404, None

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: this is not the product's log."""
