"""Run one service in a process of its own, or several in one: HTTP, loops, signals, shutdown."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog
import uvloop
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from ringback.config import Settings
from ringback.flows.outbox_delivery import run_relay
from ringback.web.app import create_application
from ringback.web.health import health_routes
from ringback.web.server import listen, serve_http
from ringback.wiring import Dependencies, open_dependencies, readiness

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Loop = Callable[[asyncio.Event], Awaitable[None]]
Counts = Callable[[], Iterable[tuple[str, float]]]

#: The time for work in progress after a stop; below the 30 s that platforms usually allow.
STOP_WITHIN_S = 25.0


@dataclass(frozen=True, slots=True)
class Service:
    """One of the product's services, ready to run in a process of its own or together with others."""

    name: str
    routers: Sequence[APIRouter] = ()
    routes: Sequence[BaseRoute] = ()
    loops: Sequence[Loop] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)  # shown in /metrics


BuildService = Callable[[Dependencies], Service]


def application(deps: Dependencies, services: Sequence[Service]) -> FastAPI:
    """Create one HTTP application for these services, with health, readiness and metrics."""
    checks, is_paused = readiness(deps)
    operator = health_routes(checks, deps.metrics.registry, is_paused)
    for service in services:
        for name, read in service.counts.items():
            deps.metrics.watch(name, "what", read)
    deps.metrics.watch("loop_failures", "loop", deps.loops.failures)
    deps.metrics.watch("outbox_delivered", "lane", deps.relay.stats.delivered.items)
    deps.metrics.watch("outbox_dead", "lane", deps.relay.stats.dead.items)
    routers = [router for service in services for router in service.routers]
    routes = [route for service in services for route in service.routes]
    return create_application("Ringback", routers, [*routes, *operator], deps.metrics, authenticate=deps.require_key())


async def run_services(
    deps: Dependencies, services: Sequence[Service], bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Serve HTTP and run every loop and the outbox relay until `stop`. Set `ready` once HTTP responds.

    Raises SettingsError at the start.
    """
    await deps.check_erasure_key()
    http_stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        http = group.create_task(serve_http(application(deps, services), bound, http_stop, ready, deps.metrics))
        outbox: Loop = partial(run_relay, deps.relay, deps.outbox_wakeup, loops=deps.loops)
        running = [("outbox", outbox), *((service.name, loop) for service in services for loop in service.loops)]
        loops = [
            group.create_task(deps.loops.named("service", name).run(partial(loop, stop), stop))
            for name, loop in running
        ]
        await asyncio.wait([http, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        # HTTP stays open until the work in progress is finished, because that work may need it.
        await asyncio.wait(loops, timeout=STOP_WITHIN_S)
        http_stop.set()


def run_process(settings: Settings, host: str, port: int, build_service: BuildService) -> None:
    """Run one service in a process of its own, until SIGINT or SIGTERM."""
    bound = listen(host, port)

    async def run() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        async with open_dependencies(settings) as deps:
            await begin(deps)
            service = build_service(deps)
            _log.info("process.started", service=service.name, port=bound.getsockname()[1])
            await run_services(deps, [service], bound, stop, asyncio.Event())

    run_loop(run())


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop. A call is a few dozen small socket writes, at which the standard loop is slow."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def begin(deps: Dependencies) -> None:
    """Check the installation and register the API key.

    Raises StartRefused if the database is not upgraded, or if emulated and real calls would mix.
    """
    await deps.check_schema()
    await deps.border().enter()
    if not await deps.put_api_key():
        _log.error("api_key.revoked", setting="RINGBACK_API_KEY", action="set another; requests with this one get 401")


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
