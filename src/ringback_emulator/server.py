"""An emulator as a process on loopback: its access checks, its end on request, and its end without an owner."""

import hmac
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback_emulator.json_lines import JsonLinesFile

LOOPBACK = "127.0.0.1"
#: Requests with another Host header are rejected. They come from a web page by DNS rebinding.
LOCAL_NAMES = (LOOPBACK, "localhost")
CONTROL_PREFIX = "/emulator/"
#: An emulator outlives a killed owner for this long. Its calls go on, and the next owner can take it over.
ORPHAN_GRACE_S = 600.0
OWNER_CHECK_S = 2.0
#: The SDK's client closes an idle connection after 5 s (httpx). A server that does so first resets requests.
IDLE_WITHIN_S = 75


class LocalProgramsOnly:
    """ASGI middleware that rejects requests of web pages, and control requests without the key.

    Browsers add `Origin` to every cross-site POST (Fetch standard, section 3.1). Programs do not send it.
    """

    def __init__(self, app: ASGIApp, control_key: str | None) -> None:
        self._app = app
        self._bearer = f"Bearer {control_key}".encode() if control_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rejection = self._rejection(scope) if scope["type"] == "http" else None
        await (rejection or self._app)(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        status, message = 0, ""
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            status, message = 403, "The emulators do not serve web pages."
        elif scope["method"] not in ("GET", "HEAD") and scope["path"].startswith(CONTROL_PREFIX):
            presented = headers.get("authorization", "").encode()
            if self._bearer is None or not hmac.compare_digest(presented, self._bearer):
                status, message = 401, "The control paths need the emulator's key: Authorization: Bearer."
        return JSONResponse({"status": "error", "message": message}, status) if status else None


def protect(app: Starlette, control_key: str | None) -> None:
    """Let only programs of this machine use the application. Its control paths need the key."""
    app.add_middleware(LocalProgramsOnly, control_key=control_key)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES), www_redirect=False)


def stop_route(emulator: str) -> Route:
    """Return the route `POST /emulator/{emulator}/stop`, which ends the process as SIGTERM does."""

    async def stop(request: Request) -> Response:
        request.app.state.stop()
        return Response(status_code=202)

    return Route(f"{CONTROL_PREFIX}{emulator}/stop", stop, methods=["POST"])


def health_route(emulator: str, state_dir: Path) -> Route:
    """Return the route `GET /healthz`: the emulator's name and its state directory."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "emulator": emulator, "state_dir": str(state_dir.resolve())})

    return Route("/healthz", health, methods=["GET"])


def ledger_route(path: str, ledger_of: Callable[[Request], JsonLinesFile]) -> Route:
    """Return the route `GET path`, which lists the records of a ledger."""

    async def items(request: Request) -> Response:
        return Response(ledger_of(request).as_items(), media_type="application/json")

    return Route(path, items, methods=["GET"])


class _Server(uvicorn.Server):
    """A server that ends at a signal without raising it again. The process then exits with 0."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True
        app = self.config.app
        if isinstance(app, Starlette):
            app.state.is_stopping = True


def run(app: Starlette, port: int, owner_file: Path | None = None) -> None:
    """Serve on loopback until SIGTERM, SIGINT or a stop request. Requests in progress get one second to finish.

    At the end `app.state.is_stopping` becomes true, for requests that would otherwise never finish.
    `owner_file` holds the process id of the owner. Without a living owner the emulator ends after ORPHAN_GRACE_S.
    """
    config = uvicorn.Config(
        app,
        host=LOOPBACK,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_WITHIN_S,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    app.state.stop = lambda: server.handle_exit(signal.SIGTERM, None)
    if owner_file is not None:
        threading.Thread(target=stop_without_owner, args=(owner_file, app.state.stop), daemon=True).start()
    server.run()


def stop_without_owner(owner_file: Path, stop: Callable[[], None], grace_s: float = ORPHAN_GRACE_S) -> None:
    """Call `stop` when no owner has lived for `grace_s`. A new owner within that time prevents it."""
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
