"""Build the HTTP application: routes, their description, and what is the same for each of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.telemetry import Metrics
from ringback.web.description import Application, docs_routes
from ringback.web.direct_routes import PATTERN, DirectRoutes
from ringback.web.limits import REJECTED_IN, Authenticate, AuthenticatedBody, BodyReader, LoadShedding, RequestTimeout
from ringback.web.problems import install_problems

_KNOWN_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")


def create_application(
    title: str,
    routers: Sequence[APIRouter],
    routes: Sequence[BaseRoute],
    metrics: Metrics,
    authenticate: Authenticate | None = None,
) -> FastAPI:
    """Build an application whose `routers` appear in /docs; plain `routes` (health, Retell's) do not.

    `authenticate` checks the key of an API request before its body is read. The routers check what each of their
    operations needs besides.
    """
    # FastAPI's own OpenTelemetry would record whole URLs and exception texts, phone numbers among them, wherever a host
    # process or the environment has set an exporter up.
    silent: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = Application(title=title, version="1", docs_url=None, redoc_url=None, telemetry=silent)
    # Retell's routes come first, because they are called most and have the least time to answer. The routers' routes
    # are added flat: a router that is included matches each request twice.
    app.router.routes.extend([*routes, *docs_routes(), *(route for router in routers for route in router.routes)])
    install_problems(app)
    # The last one added is the first one asked.
    app.add_middleware(DirectRoutes, routes=app.routes)
    app.add_middleware(LoadShedding)
    app.add_middleware(AuthenticatedBody, bodies=BodyReader(metrics), authenticate=authenticate)
    app.add_middleware(RequestTimeout)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


class CountRequests:
    """ASGI middleware: count requests by the route's template. Their paths may hold phone numbers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        # Labels are looked up in 5 us. There are as many as routes and statuses.
        self._count_of = cache(metrics.http_requests.labels)
        self._duration_of = cache(metrics.http_duration_s.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
            await send(message)

        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, counted)
        finally:
            template = _template(scope)
            method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
            self._count_of(method, template, answer.status).inc()
            self._duration_of(template).observe(time.perf_counter() - began_s)


@dataclass(slots=True)
class _Answer:
    status: int = 500  # nothing was sent: the server will say 500


def _template(scope: Scope) -> str:
    """Find the route's pattern, or rebuild it: Starlette leaves the parameters in the scope, but not the pattern."""
    if PATTERN in scope:
        return str(scope[PATTERN])
    if "endpoint" not in scope:
        rejected_in: str = scope.get(REJECTED_IN, "unmatched")
        return rejected_in
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in scope["path"].split("/"))
