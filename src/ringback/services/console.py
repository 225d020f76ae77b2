"""The console alone, for an installation that keeps it apart from the Voice API."""

from ringback.config import Settings
from ringback.process import Service, run_process
from ringback.web.console import console_routes
from ringback.wiring import Dependencies


def build_service(deps: Dependencies) -> Service:
    return Service("console", routes=console_routes(deps.console()))


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
