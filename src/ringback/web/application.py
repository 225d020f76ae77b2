"""One HTTP application out of routes: problems, limits, metrics and health are the same everywhere."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.telemetry import Metrics
from ringback.web.admission import REFUSED_AT, Admission
from ringback.web.answer_within import AnswerWithin
from ringback.web.bodies import Bodies
from ringback.web.docs_page import docs_routes
from ringback.web.openapi import Application
from ringback.web.problem import install_problems
from ringback.web.systems_door import Authenticate, SystemsDoor

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_application(
    title: str,
    routers: Sequence[APIRouter],
    routes: Sequence[BaseRoute],
    metrics: Metrics,
    lifespan: Lifespan | None = None,
    authenticate: Authenticate | None = None,
) -> FastAPI:
    """`routers` appear in /docs, plain `routes` (health, Retell's doors) do not. The systems' doors ask `authenticate`
    before they read a body; the routers ask for what each of their operations needs besides."""
    # FastAPI's own OpenTelemetry would record whole URLs and exception texts, phone numbers among them, wherever a host
    # process or the environment has set an exporter up.
    silent: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = Application(
        title=title, version="1", docs_url=None, redoc_url=None, telemetry=silent, lifespan=lifespan or _nothing
    )
    # Plain routes come first, because Retell's doors are asked most and have the least time to answer.
    app.router.routes.extend([*routes, *docs_routes()])
    for router in routers:
        app.include_router(router)
    install_problems(app)
    # The last one added is the first one asked.
    app.add_middleware(Admission)
    app.add_middleware(SystemsDoor, bodies=Bodies(metrics), authenticate=authenticate)
    app.add_middleware(AnswerWithin)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


class CountRequests:
    """ASGI middleware that counts by the route's template, never by the path, which may hold a phone number."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

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
            self._metrics.http_requests.labels(_method(scope), template, answer.status).inc()
            self._metrics.http_duration_s.labels(template).observe(time.perf_counter() - began_s)


@dataclass(slots=True)
class _Answer:
    status: int = 500  # nothing was sent: the server will say 500


def _template(scope: Scope) -> str:
    """The route's own pattern, rebuilt from the path: Starlette leaves the parameters in the scope, not the route."""
    if "endpoint" not in scope:
        refused_at: str = scope.get(REFUSED_AT, "unmatched")
        return refused_at
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in scope["path"].split("/"))


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"
