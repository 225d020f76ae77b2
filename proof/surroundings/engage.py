"""Engage is unavailable for an hour, in many ways; the hour is virtual, the HTTP and the rows are real."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from aiohttp import web

from proof.findings import Findings
from proof.harness.databases import Databases
from proof.harness.oracle import ANY, Blame, Observed, judge, report
from proof.harness.processes import ENGAGE_SECRET
from proof.invariants import Invariant
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres import outbox
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.abt_event import AbtEvent
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.web.server import listen
from tests.fixed_clock import FixedClock
from tests.outbox import deliver_outbox

I14 = Invariant.I14
HOUR_S, DAY_S = 3600.0, 86400.0
#: The timeout of a request to Engage; in production ten seconds.
TIMEOUT_S = 0.25
#: The clock moves at least so far from one pass of the relay to the next.
STRIDE_S = 15.0
EVENTS = ("initiated", "started", "completed")
#: Runs of the planted bug until it shows.
OVERTAKING_ROUNDS = 8
#: Faults of a request while Engage is unavailable. An ingress answers 404 in the middle of a deployment.
FAULTS = ("503", "503", "500", "502", "429", "301", "307", "404", "hangs", "resets", "garbage", "takes_then_503")


@dataclass
class Engage:
    """Engage keeps what it has accepted; `is_unavailable` is asked at each request."""

    rng: Random
    is_unavailable: Callable[[], bool] = lambda: False
    taken: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    requests: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body, name = await request.read(), request.headers["webhook-id"]
        self.requests += 1
        self.bodies[name].add(body)
        fault = self.rng.choice(FAULTS) if self.is_unavailable() else "accepts"
        if fault == "404":
            # Fewer than would make it the row's own fault.
            self.refused[name] += 1
            fault = "404" if self.refused[name] < 5 else "503"
        if fault in ("accepts", "takes_then_503"):
            self.taken.append({"id": name, "signature_ok": True, "event": await request.json()})
        return await self._do(request, fault)

    async def _do(self, request: web.Request, fault: str) -> web.StreamResponse:
        match fault:
            case "accepts":
                return web.Response(status=202)
            case "hangs":
                await asyncio.sleep(4 * TIMEOUT_S)
                return web.Response(status=202)
            case "resets" | "garbage":
                assert request.transport is not None
                if fault == "garbage":
                    request.transport.write(b"220 mail.example ESMTP\r\n\r\n")
                request.transport.close()
                return web.Response(status=202)
            case "429":
                return web.Response(status=429, headers={"Retry-After": str(self.rng.randint(0, 600))})
            case "takes_then_503":
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
class Outbox:
    """The outbox and its relay on a clock of their own."""

    store: PostgresStore
    pool: Pool
    clock: FixedClock
    relay: OutboxRelay

    async def happen(self, call_id: str, place: int) -> None:
        """Commits one event of a call, as its fact is committed."""
        now = self.clock.now()
        last = place == len(EVENTS) - 1
        data = {"sequence": place + 1, "attempt_id": f"{call_id}-1", "is_final": last}
        event = AbtEvent(f"{call_id}/{place + 1}", f"voice_ai_call_{EVENTS[place]}", call_id, now, data)
        async with self.store.transaction() as tx:
            await tx.outbox.enqueue_event(event, now)

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

    async def dead_after_s(self) -> dict[str, float]:
        """The seconds after which each dead row was given up."""
        dead = await self.pool.fetch(
            "SELECT message_id, dead_at - created_at AS age FROM outbox WHERE dead_at IS NOT NULL"
        )
        return {row["message_id"]: row["age"].total_seconds() for row in dead}


@asynccontextmanager
async def _outbox(databases: Databases, engage: Engage, seed: int) -> AsyncIterator[Outbox]:
    async with databases.pool("engage") as pool, serving(engage) as url:
        clock = FixedClock()
        adapter = EngageHttp(url, ENGAGE_SECRET, clock, timeout_s=TIMEOUT_S)
        store = PostgresStore(pool, clock_is_real=False)
        try:
            yield Outbox(store, pool, clock, OutboxRelay(store, clock, Random(f"{seed} relay"), engage=adapter))
        finally:
            await adapter.close()


async def lose_engage(databases: Databases, found: Findings, calls: int) -> None:
    await lose_for_an_hour(databases, found, calls)
    await lose_for_good(databases, found, max(1, calls // 6))


async def lose_for_an_hour(databases: Databases, found: Findings, calls: int, round_: int = 0) -> None:
    """Events before, during and after the hour; at the end Engage has each of them."""
    seed = found.seed + round_
    rng = Random(f"{seed} engage")
    engage = Engage(rng)
    async with _outbox(databases, engage, seed) as outbox:
        began = outbox.clock.now()
        hour = timedelta(seconds=60), timedelta(seconds=60 + HOUR_S)
        engage.is_unavailable = lambda: hour[0] <= outbox.clock.now() - began < hour[1]
        call_ids = [f"call-{number}" for number in range(calls)]
        for place in range(len(EVENTS)):
            for call_id in call_ids:
                await outbox.happen(call_id, place)
            pause = outbox.clock.now() + timedelta(seconds=rng.choice((90.0, 300.0, 1500.0)))
            await outbox.deliver_until(lambda pause=pause: outbox.clock.now() >= pause)  # type: ignore[misc]
            outbox.clock.advance(max(0.0, (pause - outbox.clock.now()).total_seconds()))
        await outbox.deliver_until(lambda: outbox.clock.now() - began > 2 * hour[1])
        reproduce = f"seed {seed}, {calls} calls"
        found.tried(I14, cases=len(call_ids))
        rows = [{"call_id": call_id, "status": "completed", "final": True} for call_id in call_ids]
        seen = Observed(rings=[], deliveries=engage.taken, calls=rows, attempts=[])
        report(found, judge(seen, dict.fromkeys(call_ids, ANY), Blame()), reproduce)
        for name, bodies in engage.bodies.items():
            if len(bodies) > 1:
                found.broke(I14, f"event {name} was sent with {len(bodies)} bodies", reproduce)
        for message_id in await outbox.dead_after_s():
            found.broke(I14, f"event {message_id} was given up after an hour", reproduce)
        found.counts["engage_requests"] = int(str(found.counts.get("engage_requests", 0))) + engage.requests


async def lose_for_good(databases: Databases, found: Findings, calls: int) -> None:
    """An event that Engage never accepts is given up after about a day, not earlier, and not never."""
    engage = Engage(Random(f"{found.seed} engage"), is_unavailable=lambda: True)
    async with _outbox(databases, engage, found.seed) as outbox:
        for number in range(calls):
            await outbox.happen(f"call-{number}", 0)
        began = outbox.clock.now()
        await outbox.deliver_until(lambda: (outbox.clock.now() - began).total_seconds() > 3 * DAY_S)
        dead = await outbox.dead_after_s()
        found.tried(I14, cases=calls)
        for number in range(calls):
            after_s = dead.get(f"call-{number}/1")
            if after_s is None or not DAY_S / 2 < after_s < 2 * DAY_S:
                what = f"event of call-{number} was given up after {after_s} s"
                found.broke(I14, what, f"seed {found.seed}, {calls} calls")


async def overtake(databases: Databases, found: Findings) -> None:
    """Rows leave whether or not earlier ones of their call have left."""
    take, failed = outbox.TAKE, outbox.FAILED
    outbox.TAKE = take.replace("order_key IS NULL OR", "true OR")
    outbox.FAILED = failed.replace("AND due_at < $3::timestamptz", "AND due_at < $3::timestamptz AND false")
    assert take != outbox.TAKE and failed != outbox.FAILED, "the planted bug needs its places"
    try:
        # Whether an event overtakes another depends on the order of two responses, so one run may not show it.
        for round_ in range(OVERTAKING_ROUNDS):
            await lose_for_an_hour(databases, found, 4, round_)
            if found.violations:
                break
    finally:
        outbox.TAKE, outbox.FAILED = take, failed
