"""The whole product in this process, on real adapters, with its clock, its queues and its scheduler in our hands."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from ringback.config import read_settings
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.ports import Clock, MessageQueue
from ringback.process import Service, begin, run_services
from ringback.services import scheduler
from ringback.services.scheduler import Job
from ringback.up.stack import SERVICES
from ringback.wiring import Dependencies, open_dependencies

START_WITHIN_S = 120.0
STOP_WITHIN_S = 40.0
AroundQueue = Callable[[MessageQueue, str], MessageQueue]
AroundJob = Callable[[Job], Job]


def services_of(deps: Dependencies, around_job: AroundJob) -> list[Service]:
    """All services of `ringback up`; each job of the scheduler is replaced by what `around_job` makes of it."""
    services: list[Service] = [module.build_service(deps) for module in SERVICES if module is not scheduler]
    all_jobs = scheduler.jobs(deps.scheduled_calls(), deps.reconciliation(), deps.retention(), deps.rollups())
    to_do = tuple(map(around_job, all_jobs))
    return [*services, Service("scheduler", loops=[lambda stop: scheduler.run_scheduler(to_do, stop, deps.loops)])]


@asynccontextmanager
async def running_product(
    environment: Mapping[str, str],
    bound: socket.socket,
    *,
    clock: Clock | None = None,
    around_queue: AroundQueue | None = None,
    around_job: AroundJob = lambda job: job,
) -> AsyncIterator[Dependencies]:
    """From ready to stopped. `around_queue` returns the queue to use instead of the real "calls" and "events"."""
    settings = read_settings(environment, emulated=True)
    async with open_dependencies(settings, clock) if clock else open_dependencies(settings) as deps:
        await asyncio.gather(begin(deps), deps.provider.warm_up())
        if around_queue is not None:
            deps = _with_queues(deps, around_queue)
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(run_services(deps, services_of(deps, around_job), bound, stop, ready))
        try:
            waiting = asyncio.ensure_future(ready.wait())
            await asyncio.wait({running, waiting}, timeout=START_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            assert ready.is_set(), "the product did not become ready"
            yield deps
        finally:
            stop.set()
            ended, _ = await asyncio.wait([running], timeout=STOP_WITHIN_S)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            for one in ended:
                one.result()


def _with_queues(deps: Dependencies, around: AroundQueue) -> Dependencies:
    calls, events = around(deps.call_queue, "calls"), around(deps.event_queue, "events")
    relay = OutboxRelay(deps.store, deps.clock, random.Random(), queue=calls, stop_call=deps.provider.stop_call)
    return replace(deps, call_queue=calls, event_queue=events, relay=relay)
