"""The whole product in this process, on real adapters, with the queues in the story's hands."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from proof.surroundings.town import API_KEY, RETELL_KEYS, Town, wait_for
from ringback.config import read_settings
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.ports import MessageQueue
from ringback.process import Service, begin, run_services
from ringback.up.stack import SERVICES
from ringback.web.server import listen
from ringback.wiring import Dependencies, open_dependencies
from tests.stories.running_system import SystemClient

SPEED = 60.0
AroundQueue = Callable[[MessageQueue, str], MessageQueue]


@dataclass(frozen=True, slots=True)
class House:
    parts: Dependencies
    doors: SystemClient


@asynccontextmanager
async def open_house(
    town: Town, ports: tuple[int, int], database_url: str, around: AroundQueue, settings: Mapping[str, str]
) -> AsyncIterator[House]:
    """Every service in this process; the emulated Retell is one of its own. `around` gives the queue to be used instead
    of the real "calls" and "events". Without Engage: what it would be told stays in the outbox, in its order."""
    bound = listen("127.0.0.1", ports[0])
    url, retell_url = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    given = {"RINGBACK_DATABASE_URL": database_url, "RETELL_BASE_URL": retell_url, "RINGBACK_API_KEY": API_KEY}
    town.start_retell(ports[1], f"{url}/retell/webhook", speed=SPEED)
    async with open_dependencies(read_settings({**RETELL_KEYS, **given, **settings}, emulated=True)) as parts:
        await asyncio.gather(parts.provider.warm_up(), asyncio.to_thread(wait_for, f"{retell_url}/healthz"))
        await begin(parts)
        parts = _with_queues(parts, around)
        services = [module.build_service(parts) for module in SERVICES]
        async with _running(parts, services, bound):
            yield House(parts, SystemClient(url, API_KEY, retell_url, ""))


def _with_queues(parts: Dependencies, around: AroundQueue) -> Dependencies:
    calls, events = around(parts.call_queue, "calls"), around(parts.event_queue, "events")
    relay = OutboxRelay(parts.store, parts.clock, random.Random(), queue=calls, stop_call=parts.provider.stop_call)
    return replace(parts, call_queue=calls, event_queue=events, relay=relay)


@asynccontextmanager
async def _running(parts: Dependencies, services: list[Service], bound: socket.socket) -> AsyncIterator[None]:
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_services(parts, services, bound, stop, ready))
    try:
        await asyncio.wait({running, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        stop.set()
        await running
