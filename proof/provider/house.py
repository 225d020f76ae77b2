"""One system: the product in this process, the proxy in a thread of it, the world in a process of its own."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp

from proof.evidence import ROOT
from proof.provider.acts import Plan
from proof.provider.proxy import Proxy
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.config import read_settings
from ringback.process import Service, begin, run_services
from ringback.services import scheduler
from ringback.up.stack import SERVICES
from ringback.web.server import listen
from ringback.wiring import Dependencies, open_dependencies

API_KEY = "rb_proof"
RETELL_KEY, WEBHOOK_KEY = "key_proof_api", "key_proof_webhook"
ENGAGE_SECRET = "whsec_" + "cHJvb2Ytb2YtdGhlLXByb3ZpZGVy"
WORLD_READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
#: What the scheduler finds due is what costs time, not how often it looks.
HASTE = 4.0
Json = dict[str, Any]


class HouseClock:
    """`ports.Clock`: the machine's clock and all leaps, now and monotonic together."""

    def __init__(self, behind_s: float = 0.0) -> None:
        self.ahead_s = -behind_s

    def leap(self, seconds: float) -> None:
        self.ahead_s += seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass(frozen=True, slots=True)
class Blueprint:
    """`environment` holds the product's settings but for addresses and keys."""

    database_url: str
    home: Path
    environment: Mapping[str, str]
    plans: Mapping[str, Plan]
    clock: HouseClock
    speed: float
    idempotency: bool
    seed: int


@dataclass(frozen=True, slots=True)
class House:
    """What the harness may touch."""

    proxy: Proxy
    pool: Pool
    session: aiohttp.ClientSession
    clock: HouseClock
    url: str
    world_urls: tuple[str, str]

    async def place(self, body: Json) -> str:
        """The call's id; asked again for as long as the door does not say 202."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": body["contact"]["contact_id"]}
        async with asyncio.timeout(60):
            while True:
                async with self.session.post(f"{self.url}/v1/calls", json=body, headers=headers) as answer:
                    told = await answer.json()
                if answer.status == 202:
                    return str(told["call_id"])
                if answer.status < 500:
                    raise AssertionError(f"POST /v1/calls answered {answer.status}: {told}")
                await asyncio.sleep(0.1)

    async def rings(self) -> list[Json]:
        return await self._items(f"{self.world_urls[0]}/emulator/retell/rings")

    async def deliveries(self) -> list[Json]:
        return await self._items(f"{self.world_urls[1]}/emulator/engage/events")

    async def _items(self, url: str) -> list[Json]:
        async with self.session.get(url) as answer:
            items: list[Json] = (await answer.json())["items"]
        return items

    async def rows(self, query: str, *arguments: object) -> list[Json]:
        return [dict(row) for row in await self.pool.fetch(query, *arguments)]


@asynccontextmanager
async def open_house(plan: Blueprint) -> AsyncIterator[House]:
    """Everything of it is gone afterwards."""
    plan.home.mkdir(parents=True)
    doors = [listen("127.0.0.1", 0) for _ in range(3)]
    for door in doors[:2]:
        door.set_inheritable(True)
    ports = [door.getsockname()[1] for door in doors]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    proxy = Proxy(("127.0.0.1", ports[0]), ("127.0.0.1", ports[2]), plan.plans)
    proxy.open()
    world = _start_world(plan, proxy, [door.fileno() for door in doors[:2]])
    stop = asyncio.Event()
    product: asyncio.Task[None] | None = None
    try:
        async with open_dependencies(_settings(plan, proxy, urls[1]), plan.clock) as parts:
            await asyncio.gather(begin(parts), parts.provider.warm_up())
            services = [_assembled(module, parts) for module in SERVICES]
            ready = asyncio.Event()
            product = asyncio.create_task(run_services(parts, services, doors[2], stop, ready))
            await asyncio.wait_for(ready.wait(), 30)
            await _until_ready(world, plan.home)
            pool = await open_pool(plan.database_url, max_size=3)
            # Each request on a connection of its own: the server closes an idle one whenever it likes.
            connector = aiohttp.TCPConnector(limit=60, force_close=True)
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
                yield House(proxy, pool, session, plan.clock, urls[2], (urls[0], urls[1]))
            pool.terminate()
            stop.set()
            await asyncio.wait([product], timeout=STOP_WITHIN_S)
            product.cancel()
            await asyncio.gather(product, return_exceptions=True)
    finally:
        if product is not None:
            product.cancel()
        world.kill()
        world.wait(10)
        await asyncio.to_thread(proxy.close)
        for door in doors:
            door.close()


def _assembled(module: ModuleType, parts: Dependencies) -> Service:
    if module is not scheduler:
        service: Service = module.build_service(parts)
        return service
    duties = scheduler.duties(parts.scheduled_calls(), parts.reconciliation(), parts.retention())
    hasty = tuple(replace(duty, every_s=duty.every_s / HASTE) for duty in duties)
    return Service("scheduler", loops=[lambda stop: scheduler.run_scheduler(hasty, stop, parts.loops)])


def _settings(plan: Blueprint, proxy: Proxy, engage_url: str) -> Any:
    environment = {
        **plan.environment,
        "RINGBACK_DATABASE_URL": plan.database_url,
        "RINGBACK_API_KEY": API_KEY,
        "RETELL_API_KEY": RETELL_KEY,
        "RETELL_WEBHOOK_KEY": WEBHOOK_KEY,
        "RETELL_BASE_URL": proxy.url,
        "RINGBACK_ENGAGE_URL": engage_url,
        "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
    }
    return read_settings(environment, emulated=True)


def _start_world(plan: Blueprint, proxy: Proxy, descriptors: list[int]) -> "subprocess.Popen[bytes]":
    retell = {
        "api_key": RETELL_KEY,
        "webhook_key": WEBHOOK_KEY,
        "webhook_url": proxy.webhook_url,
        "speed": plan.speed,
        "idempotency": plan.idempotency,
        "seed": plan.seed,
    }
    spec = {
        "state": str(plan.home),
        "retell_fd": descriptors[0],
        "engage_fd": descriptors[1],
        "retell": retell,
        "engage_secret": ENGAGE_SECRET,
    }
    with (plan.home / "world.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "proof.provider.world", json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=descriptors,
            cwd=ROOT,
        )


async def _until_ready(world: "subprocess.Popen[bytes]", home: Path) -> None:
    assert world.stdout is not None
    async with asyncio.timeout(WORLD_READY_WITHIN_S):
        line = await asyncio.to_thread(world.stdout.readline)
    if line != b"ready\n":
        raise AssertionError(f"the world did not start: {(home / 'world.log').read_text()[-2000:]}")
