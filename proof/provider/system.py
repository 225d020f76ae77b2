"""One system: the product in this process, the proxy in a thread of it, the emulators in a process of their own."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from proof.harness.clients import until_2xx
from proof.harness.clock import LeapingClock
from proof.harness.ports import ReservedPort, listening
from proof.harness.processes import API_KEY, ENGAGE_SECRET, RETELL_KEYS, Processes
from proof.harness.product import running_product
from proof.provider.acts import Plan
from proof.provider.proxy import Proxy
from ringback.adapters.postgres.pool import Pool, open_pool

#: The due work costs the scheduler time, not its looking for it.
HASTE = 4.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class System:
    """Everything that the scenarios may use."""

    proxy: Proxy
    pool: Pool
    session: aiohttp.ClientSession
    clock: LeapingClock
    url: str
    retell_url: str
    engage_url: str

    async def place(self, body: Json) -> str:
        """Returns the call's id. The request is repeated until it is accepted."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": body["contact"]["contact_id"]}
        asked = json.dumps(body).encode(), headers
        return str((await until_2xx(self.session, "POST", f"{self.url}/v1/calls", lambda: asked))["call_id"])

    async def rings(self) -> list[Json]:
        return await self._items(f"{self.retell_url}/emulator/retell/rings")

    async def deliveries(self) -> list[Json]:
        return await self._items(f"{self.engage_url}/emulator/engage/events")

    async def _items(self, url: str) -> list[Json]:
        async with self.session.get(url) as answer:
            items: list[Json] = (await answer.json())["items"]
        return items

    async def rows(self, query: str, *arguments: object) -> list[Json]:
        return [dict(row) for row in await self.pool.fetch(query, *arguments)]


_APPLIED = "SELECT array_agg(event) FROM provider_events WHERE attempt_id = $1"


async def _have_applied(database_url: str, attempt_id: str, names: Collection[str]) -> bool:
    """With a connection of its own, because the pool belongs to another thread."""
    connection = await asyncpg.connect(database_url)
    try:
        return set(names) <= set(await connection.fetchval(_APPLIED, attempt_id) or ())
    finally:
        connection.terminate()


@asynccontextmanager
async def open_system(
    database_url: str,
    home: Path,
    settings: Mapping[str, str],
    retell: Mapping[str, Any],
    plans: Mapping[str, Plan],
    clock: LeapingClock,
) -> AsyncIterator[System]:
    """`settings` are the product's except addresses and keys, `retell` the emulator's. Leaves nothing running."""
    bound, retell_port, engage_port = listening(0), ReservedPort(), ReservedPort()
    address = bound.getsockname()
    proxy = Proxy(("127.0.0.1", retell_port.number), address, plans, partial(_have_applied, database_url))
    proxy.open()
    environment = {
        **RETELL_KEYS,
        **settings,
        "RINGBACK_DATABASE_URL": database_url,
        "RINGBACK_API_KEY": API_KEY,
        "RETELL_BASE_URL": proxy.url,
        "RINGBACK_ENGAGE_URL": engage_port.url,
        "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
    }
    try:
        with Processes(home) as processes:
            emulated = {**retell, "port": retell_port.number, "webhook_url": proxy.webhook_url}
            await asyncio.to_thread(processes.start_emulators, emulated, {"port": engage_port.number})
            hasty = running_product(
                environment, bound, clock=clock, around_job=lambda job: replace(job, every_s=job.every_s / HASTE)
            )
            # Each request on a connection of its own: the server closes an idle one whenever it likes.
            connector = aiohttp.TCPConnector(limit=60, force_close=True)
            timeout = aiohttp.ClientTimeout(total=60)
            async with hasty, aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                pool = await open_pool(database_url, max_size=3)
                url = f"http://127.0.0.1:{address[1]}"
                try:
                    yield System(proxy, pool, session, clock, url, retell_port.url, engage_port.url)
                finally:
                    pool.terminate()
    finally:
        await asyncio.to_thread(proxy.close)
        for port in (retell_port, engage_port):
            port.close()
        bound.close()
