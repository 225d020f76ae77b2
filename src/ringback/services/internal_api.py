"""Voice API: accepts calls from systems, and shows, suppresses and cancels them. The console is served here too."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, Request

from ringback.config import Settings
from ringback.process import Service, run_process
from ringback.web.console import console_of
from ringback.web.routes.analytics import analytics_routes
from ringback.web.routes.calls import VoiceApi, add_call_routes
from ringback.web.routes.exports import export_routes
from ringback.web.routes.operator import operator_routes
from ringback.web.routes.suppressions import add_suppression_routes
from ringback.web.strict_route import strict_router
from ringback.wiring import Dependencies


def internal_routes(api: VoiceApi, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    router = strict_router("/v1", "Voice API", api.numbers, dependencies=[Depends(require_key)])
    add_call_routes(router, api)
    add_suppression_routes(router, api)
    return router


def build_service(deps: Dependencies) -> Service:
    api = deps.voice_api()
    guard = deps.require_key()
    routers = (
        internal_routes(api, guard),
        operator_routes(deps.operator(), guard),
        analytics_routes(deps.analytics(), deps.numbers, guard),
        export_routes(deps.exports(), deps.numbers, guard),
    )
    if deps.settings.console == "off":
        return Service("internal-api", routers=routers)
    routes, live = console_of(deps.console())
    return Service("internal-api", routers=routers, routes=routes, loops=[live.run])


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
