"""Engage is away for an hour, in every way there is; the hour is virtual, the HTTP and the rows are real."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from aiohttp import web

from proof.findings import Findings
from proof.invariants import Invariant
from proof.surroundings.ground import Ground
from proof.surroundings.oracle import judge_telling
from proof.surroundings.town import ENGAGE_SECRET
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres import outbox
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.abt_event import AbtEvent
from ringback.flows.outbox_delivery import OutboxRelay, deliver_outbox
from ringback.web.server import listen
from tests.fixed_clock import FixedClock

I1, I14 = Invariant.I1, Invariant.I14
HOUR_S, DAY_S = 3600.0, 86400.0
#: A hanging Engage is given up after this; in production after ten seconds.
PATIENCE_S = 0.25
#: The clock moves at least so far from one pass of the relay to the next.
STRIDE_S = 15.0
EVENTS = ("initiated", "started", "completed")
#: What a request meets while Engage is away. A 404 is what an ingress says in the middle of a deployment.
FAULTS = ("503", "503", "500", "502", "429", "301", "307", "404", "hangs", "resets", "garbage", "takes_and_says_503")


@dataclass
class Engage:
    """It keeps what it took; `is_away` is asked at each request."""

    rng: Random
    is_away: Callable[[], bool] = lambda: False
    taken: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    requests: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body, name = await request.read(), request.headers["webhook-id"]
        self.requests += 1
        self.bodies[name].add(body)
        fault = self.rng.choice(FAULTS) if self.is_away() else "takes"
        if fault == "404":
            # Fewer than would make it the row's own fault.
            self.refused[name] += 1
            fault = "404" if self.refused[name] < 5 else "503"
        if fault in ("takes", "takes_and_says_503"):
            self.taken.append({"id": name, "event": await request.json()})
        return await self._do(request, fault)

    async def _do(self, request: web.Request, fault: str) -> web.StreamResponse:
        match fault:
            case "takes":
                return web.Response(status=202)
            case "hangs":
                await asyncio.sleep(4 * PATIENCE_S)
                return web.Response(status=202)
            case "resets" | "garbage":
                assert request.transport is not None
                if fault == "garbage":
                    request.transport.write(b"220 mail.example ESMTP\r\n\r\n")
                request.transport.close()
                return web.Response(status=202)
            case "429":
                return web.Response(status=429, headers={"Retry-After": str(self.rng.randint(0, 600))})
            case "takes_and_says_503":
                return web.Response(status=503)
        headers = {"Location": "http://127.0.0.1:9/elsewhere"} if fault in ("301", "307") else {}
        return web.Response(status=int(fault), headers=headers, text="<html>no</html>")


@asynccontextmanager
async def serving(engage: Engage) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/abt-events", engage.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    bound = listen("127.0.0.1", 0)
    await web.SockSite(runner, bound).start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        await runner.cleanup()


@dataclass
class Office:
    """The outbox and its relay on a clock of their own."""

    store: PostgresStore
    pool: Pool
    clock: FixedClock
    relay: OutboxRelay

    async def happen(self, call_id: str, place: int) -> None:
        """One event of a call is committed, as its fact is."""
        now = self.clock.now()
        last = place == len(EVENTS) - 1
        data = {"sequence": place + 1, "attempt_id": f"{call_id}-1", "is_final": last}
        event = AbtEvent(f"{call_id}/{place + 1}", f"voice_ai_call_{EVENTS[place]}", call_id, now, data)
        async with self.store.transaction() as tx:
            await tx.enqueue_event(event, now)

    async def deliver_until(self, is_over: Callable[[], bool]) -> None:
        """Passes of the relay, the clock moved to what is due next, until `is_over` or nothing is open."""
        while not is_over():
            await deliver_outbox(self.relay)
            due_at = await self.pool.fetchval(
                "SELECT min(due_at) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL"
            )
            if due_at is None:
                return
            self.clock.advance(max(STRIDE_S, (due_at - self.clock.now()).total_seconds()))

    async def dead(self) -> list[Any]:
        return list(
            await self.pool.fetch("SELECT message_id, dead_at, created_at FROM outbox WHERE dead_at IS NOT NULL")
        )


@asynccontextmanager
async def _office(ground: Ground, engage: Engage, seed: int) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        pool = await open_pool(await ground.database("engage"), max_size=8)
        stack.callback(pool.terminate)
        url, clock = await stack.enter_async_context(serving(engage)), FixedClock()
        adapter = EngageHttp(url, ENGAGE_SECRET, clock, timeout_s=PATIENCE_S)
        stack.push_async_callback(adapter.close)
        store = PostgresStore(pool, clock_is_real=False)
        yield Office(store, pool, clock, OutboxRelay(store, clock, Random(f"{seed} relay"), engage=adapter))


async def run_away_for_an_hour(ground: Ground, found: Findings, calls: int, seed: int) -> None:
    """Events before, during and behind the hour; afterwards Engage has all of them, once it has forgotten repeats."""
    rng = Random(f"{seed} engage")
    engage = Engage(rng)
    async with _office(ground, engage, seed) as office:
        began = office.clock.now()
        away = timedelta(seconds=60), timedelta(seconds=60 + HOUR_S)
        engage.is_away = lambda: away[0] <= office.clock.now() - began < away[1]
        call_ids = [f"call-{number}" for number in range(calls)]
        for place in range(len(EVENTS)):
            for call_id in call_ids:
                await office.happen(call_id, place)
            pause = office.clock.now() + timedelta(seconds=rng.choice((90.0, 300.0, 1500.0)))
            await office.deliver_until(lambda pause=pause: office.clock.now() >= pause)  # type: ignore[misc]
            office.clock.advance(max(0.0, (pause - office.clock.now()).total_seconds()))
        await office.deliver_until(lambda: office.clock.now() - began > 2 * away[1])
        reproduce = f"seed {seed}, {calls} calls"
        judge_telling(found, engage.taken, call_ids, reproduce)
        changed = [name for name, bodies in engage.bodies.items() if len(bodies) > 1]
        for name in changed:
            found.broke(I14, f"event {name} was sent with {len(engage.bodies[name])} bodies", reproduce)
        for row in await office.dead():
            found.broke(I14, f"event {row['message_id']} was given up after an hour", reproduce)
        found.counts["engage_requests"] = int(str(found.counts.get("engage_requests", 0))) + engage.requests


async def run_away_for_good(ground: Ground, found: Findings, calls: int, seed: int) -> None:
    """What nobody takes is given up after about a day, not earlier, and not never."""
    engage = Engage(Random(f"{seed} engage"), is_away=lambda: True)
    async with _office(ground, engage, seed) as office:
        for number in range(calls):
            await office.happen(f"call-{number}", 0)
        began = office.clock.now()
        await office.deliver_until(lambda: (office.clock.now() - began).total_seconds() > 3 * DAY_S)
        dead = {row["message_id"]: (row["dead_at"] - row["created_at"]).total_seconds() for row in await office.dead()}
        found.tried(I14, cases=calls)
        for number in range(calls):
            after_s = dead.get(f"call-{number}/1")
            if after_s is None or not DAY_S / 2 < after_s < 2 * DAY_S:
                found.broke(
                    I14, f"event of call-{number} was given up after {after_s} s", f"seed {seed}, {calls} calls"
                )


async def plant_impatience(ground: Ground, found: Findings, seed: int) -> None:
    """Rows leave whether or not earlier ones of their call have left."""
    take, failed = outbox.TAKE, outbox.FAILED
    outbox.TAKE = take.replace("order_key IS NULL OR", "true OR")
    outbox.FAILED = failed.replace("AND due_at < $3::timestamptz", "AND due_at < $3::timestamptz AND false")
    assert take != outbox.TAKE and failed != outbox.FAILED, "the planted bug needs its places"
    seen = Findings("planted", seed)
    try:
        await run_away_for_an_hour(ground, seen, 4, seed)
    finally:
        outbox.TAKE, outbox.FAILED = take, failed
    found.plant("events of a call overtake each other", bool(seen.violations), I14)
