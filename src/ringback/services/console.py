"""The console alone, for an installation that keeps it apart from the Voice API."""

from ringback.config import Settings
from ringback.process import Service, run_process
from ringback.web.console import console_of
from ringback.wiring import Dependencies


def build_service(deps: Dependencies) -> Service:
    routes, live = console_of(deps.console())
    return Service("console", routes=routes, loops=[live.run])


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
