"""The life of a process is four lines of its log."""

import asyncio

from structlog.testing import capture_logs

from ringback.config import read_settings
from ringback.process import run_services
from ringback.services import business_api
from ringback.web.server import listen
from ringback.wiring import open_dependencies


async def test_a_process_logs_that_it_is_ready_stopping_and_stopped(database_url):
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=False)
    stop, ready = asyncio.Event(), asyncio.Event()
    with capture_logs() as lines:
        async with open_dependencies(settings) as deps:
            services = [business_api.build_service(deps)]
            running = asyncio.create_task(run_services(deps, services, listen("127.0.0.1", 0), stop, ready))
            await ready.wait()
            await asyncio.sleep(0.1)
            stop.set()
            await running
    told = [(line["event"], line["service"]) for line in lines if line["event"].startswith("process.")]
    assert told == [(f"process.{what}", "business-api") for what in ("ready", "stopping", "stopped")]
