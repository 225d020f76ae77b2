"""Run one service in a process of its own, or several in one: HTTP, loops, signals, shutdown."""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog
import uvloop
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ringback.config import Settings
from ringback.flows.operator.monitoring import Dependency, Monitoring
from ringback.flows.outbox_delivery import CHANNEL_KINDS, run_relay
from ringback.loops import Loops
from ringback.telemetry import Metrics
from ringback.web.app import create_application
from ringback.web.health import Check, CheckResult, IsPaused, health_routes
from ringback.web.server import listen, serve_http
from ringback.wiring import Dependencies, open_dependencies

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Loop = Callable[[asyncio.Event], Awaitable[None]]
Counts = Callable[[], Iterable[tuple[str, float]]]

#: The time for work in progress after a stop; below the 30 s that platforms usually allow.
STOP_WITHIN_S = 25.0

#: New objects before a collection of the young, and collections of one generation before one of the next. Python's 700
#: are the objects of a few calls, and most of them are freed without a collection.
COLLECT_AFTER = (10_000, 20, 20)
#: Prometheus sees a first dead row only if its count was 0 before.
_NONE_DEAD: dict[str, int] = {kind: 0 for kinds in CHANNEL_KINDS.values() for kind in kinds}

EVERY_DEPENDENCY = ("database", "call_queue", "event_queue")


@dataclass(frozen=True, slots=True)
class Service:
    """One of the product's services, ready to run in a process of its own or together with others."""

    name: str
    routers: Sequence[APIRouter] = ()
    routes: Sequence[BaseRoute] = ()
    loops: Sequence[Loop] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)  # shown in /metrics
    needs: Collection[str] = EVERY_DEPENDENCY  # checked by /readyz


BuildService = Callable[[Dependencies], Service]


def application(deps: Dependencies, services: Sequence[Service], monitoring: Monitoring | None = None) -> FastAPI:
    """Create one HTTP application for these services, with health, readiness and metrics."""
    monitoring = monitoring or deps.monitoring(needs_of(services))
    # The receiver works without the database where the pause is kept.
    is_paused = deps.is_paused() if "database" in monitoring.dependencies else None
    operator = process_health(monitoring, deps.loops, deps.metrics.registry, is_paused)
    for service in services:
        for name, read in service.counts.items():
            deps.metrics.watch(name, "what", read)
    deps.metrics.watch("loop_failures", "loop", deps.loops.failures)
    deps.metrics.watch("outbox_delivered", "lane", deps.relay.stats.delivered.items)
    deps.metrics.watch("outbox_dead", "lane", lambda: {**_NONE_DEAD, **deps.relay.stats.dead}.items())
    results = deps.relay.stats.results
    deps.metrics.watch_all("attempts", ("dial", "party", "end"), deps.rules.attempts.items)
    deps.metrics.watch_all("accepted_calls", (), lambda: [((), deps.store.accepted_calls)])
    deps.metrics.watch_all("final_events", ("type", "reason"), deps.store.final_events.items)
    deps.metrics.watch("incidents", "kind", deps.store.incidents.items)
    deps.metrics.watch_all("deliveries", ("channel", "result"), results.items)
    routers = [router for service in services for router in service.routers]
    routes = [route for service in services for route in service.routes]
    return create_application("Ringback", routers, [*routes, *operator], deps.metrics, authenticate=deps.require_key())


def needs_of(services: Sequence[Service]) -> frozenset[str]:
    """Return the names of the dependencies that one of the services needs."""
    return frozenset(name for service in services for name in service.needs) or frozenset(EVERY_DEPENDENCY)


def process_health(
    monitoring: Monitoring, loops: Loops, registry: CollectorRegistry, is_paused: IsPaused | None = None
) -> list[Route]:
    """Return the routes of health, readiness and metrics."""

    def check_of(dependency: Dependency) -> Check:
        async def check() -> CheckResult:
            return CheckResult(True, await dependency.check())

        return check

    async def check_loops() -> CheckResult:
        failing = loops.failing()
        return CheckResult(not failing, f"failing again and again: {', '.join(failing)}" if failing else "")

    checks = {name: check_of(dependency) for name, dependency in monitoring.dependencies.items()}
    return health_routes({**checks, "loops": check_loops}, registry, is_paused, monitoring.read_gauges)


async def run_services(
    deps: Dependencies, services: Sequence[Service], bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Serve HTTP and run every loop and the outbox relay until `stop`. Set `ready` once HTTP responds.

    Raises SettingsError at the start.
    """
    await deps.check_erasure_key()
    http_stop, monitoring = asyncio.Event(), deps.monitoring(needs_of(services))
    app = application(deps, services, monitoring)
    async with asyncio.TaskGroup() as group:
        http = group.create_task(serve_http(app, bound, http_stop, ready, deps.metrics))
        group.create_task(watch_process(process_name(services), monitoring, deps.loops, ready, stop))
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
    _log.info("process.stopped", service=process_name(services))


def process_name(services: Sequence[Service]) -> str:
    """Return the name of a process in its log: its service, or `up`."""
    return services[0].name if len(services) == 1 else "up"


async def watch_process(
    name: str, monitoring: Monitoring, loops: Loops, ready: asyncio.Event, stop: asyncio.Event
) -> None:
    """Watch the dependencies until `stop`. Log when HTTP responds, and when the stop begins."""
    loop = loops.named("monitoring", "dependencies")
    watching = asyncio.create_task(loop.run(partial(monitoring.watch, stop), stop))
    waits = [asyncio.ensure_future(event.wait()) for event in (ready, stop)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if ready.is_set():
        _log.info("process.ready", service=name)
    await stop.wait()
    waits[0].cancel()
    _log.info("process.stopping", service=name)
    await watching


async def serve_alone(
    name: str, app: ASGIApp, bound: socket.socket, monitoring: Monitoring, loops: Loops, metrics: Metrics
) -> None:
    """Serve an application without loops of its own, until SIGINT or SIGTERM."""
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    _log.info("process.started", service=name, port=bound.getsockname()[1])
    async with asyncio.TaskGroup() as group:
        group.create_task(watch_process(name, monitoring, loops, ready, stop))
        await serve_http(app, bound, stop, ready, metrics)
        stop.set()
    _log.info("process.stopped", service=name)


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
    """Run on uvloop. A call is a few dozen small socket writes, at which the standard loop is slow.

    Garbage collections leave out what was imported, and come after more objects: otherwise they are a fifth of the CPU
    of a call.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
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
