"""Who may use an emulator: programs of this machine, and with a key for what changes it."""

import hmac

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

#: A page that resolves its own name to this machine sends that name (DNS rebinding).
LOCAL_NAMES = ("127.0.0.1", "localhost")
CONTROL_PREFIX = "/emulator/"


class LocalPrograms:
    """ASGI middleware: refuse what a browser sends for a page, and a control request without the key.

    Browsers add `Origin` to every cross-site POST (Fetch standard, section 3.1); programs do not send it.
    """

    def __init__(self, app: ASGIApp, control_key: str | None) -> None:
        self._app = app
        self._bearer = f"Bearer {control_key}".encode() if control_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _error(403, "The emulators do not serve web pages.")
        if scope["method"] in ("GET", "HEAD") or not scope["path"].startswith(CONTROL_PREFIX):
            return None
        presented = headers.get("authorization", "").encode()
        if self._bearer is not None and hmac.compare_digest(presented, self._bearer):
            return None
        return _error(401, "The control paths need the emulator's key: Authorization: Bearer.")


def protect(app: Starlette, control_key: str | None) -> None:
    """Add both checks to an emulator's application."""
    app.add_middleware(LocalPrograms, control_key=control_key)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES), www_redirect=False)


async def _stop(request: Request) -> Response:
    request.app.state.stop()
    return Response(status_code=202)


def stop_route(emulator: str) -> Route:
    """`POST /emulator/{emulator}/stop` ends the process as SIGTERM does."""
    return Route(f"{CONTROL_PREFIX}{emulator}/stop", _stop, methods=["POST"])


def _error(status: int, message: str) -> Response:
    return JSONResponse({"status": "error", "message": message}, status_code=status)
