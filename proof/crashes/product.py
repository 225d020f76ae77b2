"""One life of the product: every service of `ringback up` in one process, until the chosen point kills it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from proof.crashes import on_sqs
from proof.crashes.planted import plant
from proof.crashes.shared_page import SharedPage
from proof.harness.forks import Tell
from proof.harness.ports import listening
from proof.harness.product import services_of
from ringback import wiring
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres.groups import Grouping
from ringback.adapters.postgres.store import PostgresStore
from ringback.config import read_settings
from ringback.failpoints import Failpoint, arm
from ringback.flows.call_processing import CallProcessing
from ringback.flows.event_processing import EventProcessing
from ringback.logs import configure_logs
from ringback.process import begin, run_loop, run_services
from ringback.services.scheduler import Job
from ringback.wiring import open_dependencies

#: Seconds between the scheduler's passes, most of them sooner than in production, because time is leaped over.
PACE_S = {"release_due_calls": 0.1, "reconcile_due_attempts": 0.1, "end_expired_calls": 0.25, "publish_lost_calls": 0.5}
_WORK = ((CallProcessing, "place_call"), (EventProcessing, "apply_call_event"), (EngageHttp, "deliver"))
#: Opening them is most of what a life costs the database.
CONNECTIONS = 7


def live(spec: dict[str, Any], tell: Tell) -> None:
    """`spec`: `page`, `port`, `environment` (the settings), `grouping` (its name), `kills` ((point, hit), each of which
    ends the life), `bug` (planted, or null)."""
    configure_logs("json", sys.stderr)
    page = SharedPage(Path(spec["page"]))
    arm(_action(page, spec["kills"], tell))
    if "AWS_ENDPOINT_URL_SQS" in spec["environment"]:
        on_sqs.prepare(spec["environment"])
    if spec["bug"] is not None:
        plant(spec["bug"])
    wiring.POOL_SIZE = CONNECTIONS
    # The emulated Engage has the time of the page too, and compares a signature's time with it.
    vars(wiring)["SystemClock"] = lambda: page
    PostgresStore.grouping = Grouping[spec["grouping"]]
    # The coordinator does not leap while one of these is at work.
    for owner, name in _WORK:
        setattr(owner, name, _shown(getattr(owner, name), page))
    run_loop(_run(spec, page, tell))


def _action(page: SharedPage, kills: Sequence[tuple[str, int]], tell: Tell) -> Callable[[Failpoint], None]:
    def count(point: Failpoint) -> None:
        hits = page.count(point)
        if (point, hits) in kills:
            tell("reached", str(point))
            os.kill(os.getpid(), signal.SIGKILL)

    return count


async def _run(spec: dict[str, Any], page: SharedPage, tell: Tell) -> None:
    settings = read_settings(spec["environment"], emulated=True)
    async with open_dependencies(settings, page) as deps:
        await begin(deps)
        await deps.provider.warm_up()

        def around(job: Job) -> Job:
            return replace(job, every_s=PACE_S.get(job.name, job.every_s), work=_shown(job.work, page))

        ready = asyncio.Event()

        async def announce() -> None:
            await ready.wait()
            tell("ready")

        announced = asyncio.create_task(announce())
        await run_services(deps, services_of(deps, around), listening(spec["port"]), asyncio.Event(), ready)
        await announced


def _shown(work: Callable[..., Awaitable[Any]], page: SharedPage) -> Callable[..., Awaitable[Any]]:
    async def shown(*arguments: Any, **named: Any) -> Any:
        with page.working():
            return await work(*arguments, **named)

    return shown
