"""One life of the product: every service of `ringback up` in one process, until the chosen point kills it."""

import asyncio
import importlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from proof.crashes.planted import plant
from proof.crashes.shared_page import SharedPage
from ringback import wiring
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.config import read_settings
from ringback.failpoints import Failpoint, arm
from ringback.flows.call_processing import CallProcessing
from ringback.flows.event_processing import EventProcessing
from ringback.logs import configure_logs
from ringback.process import Service, begin, run_loop, run_services
from ringback.services import scheduler
from ringback.up.stack import SERVICES
from ringback.wiring import Dependencies, open_dependencies

Tell = Callable[..., None]

#: Seconds between the scheduler's passes, most of them sooner than in production, because time is leaped over.
PACE_S = {"release_due_calls": 0.1, "look_after_attempts": 0.1, "end_expired_calls": 0.25, "publish_lost_calls": 0.5}
_WORK = ((CallProcessing, "place_call"), (EventProcessing, "apply_call_event"), (EngageHttp, "deliver"))
#: Opening them is most of what a life costs the database.
CONNECTIONS = 7


#: Imported by others at their first use, which a life could otherwise pay for each time.
_LAZY = (
    "anyio._backends._asyncio",
    "fastapi.telemetry._runtime",
    "pydantic.v1",
    "retell.resources.agent",
    "retell.resources.call",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


def import_everything() -> None:
    """What costs time at the first use, so that the lives share it."""
    for name in _LAZY:
        importlib.import_module(name)
    EnglishSpokenTime()
    # Nothing speaks TLS here, and every client of the SDK would read the machine's certificates anew.
    certificates = httpx.create_ssl_context()
    vars(httpx)["create_ssl_context"] = lambda *_, **__: certificates


def bound_socket(port: int) -> socket.socket:
    """On a port that the coordinator keeps reserved: refused while nobody listens, and never anybody else's."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def live(spec: dict[str, Any], tell: Tell) -> None:
    """`spec`: `page`, `port`, `environment` (the settings), `kill` ([point, hit] or null), `bug` (planted, or null)."""
    configure_logs("json", sys.stderr)
    page = SharedPage(Path(spec["page"]))
    arm(_action(page, spec["kill"], tell))
    if spec["bug"] is not None:
        plant(spec["bug"])
    wiring.POOL_SIZE = CONNECTIONS
    _show_work(page)
    run_loop(_run(spec, page, tell))


def _action(page: SharedPage, kill: list[Any] | None, tell: Tell) -> Callable[[Failpoint], None]:
    def count(point: Failpoint) -> None:
        hits = page.count(point)
        if kill is not None and [point, hits] == kill:
            tell("reached", point=point, hit=hits)
            os.kill(os.getpid(), signal.SIGKILL)

    return count


async def _run(spec: dict[str, Any], page: SharedPage, tell: Tell) -> None:
    settings = read_settings(spec["environment"], emulated=True)
    async with open_dependencies(settings, page) as parts:
        await begin(parts)
        await parts.provider.warm_up()
        services = [_assembled(module, parts, page) for module in SERVICES]
        ready = asyncio.Event()
        announced = asyncio.create_task(_announce(ready, tell))
        await run_services(parts, services, bound_socket(spec["port"]), asyncio.Event(), ready)
        await announced


def _show_work(page: SharedPage) -> None:
    """The coordinator leaps over no time in which one of these is in the middle of its work."""
    for owner, name in _WORK:
        setattr(owner, name, _shown(getattr(owner, name), page))


def _shown(work: Callable[..., Awaitable[Any]], page: SharedPage) -> Callable[..., Awaitable[Any]]:
    async def shown(*arguments: Any, **named: Any) -> Any:
        with page.working():
            return await work(*arguments, **named)

    return shown


def _assembled(module: Any, parts: Dependencies, page: SharedPage) -> Service:
    if module is not scheduler:
        service: Service = module.build_service(parts)
        return service
    all_duties = scheduler.duties(parts.scheduled_calls(), parts.reconciliation(), parts.retention())
    duties = tuple(
        replace(duty, every_s=PACE_S.get(duty.name, duty.every_s), work=_shown(duty.work, page)) for duty in all_duties
    )
    return Service("scheduler", loops=[lambda stop: scheduler.run_scheduler(duties, stop, parts.loops)])


async def _announce(ready: asyncio.Event, tell: Tell) -> None:
    await ready.wait()
    tell("ready")
