"""Measure a large installation: statements and pages over filled tables, and placing beside a backlog."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg

from benchmarks import filled
from benchmarks.child import BenchmarkFailed
from benchmarks.filling import fill
from benchmarks.ground import Ground, named
from benchmarks.paths import ENGAGE, KEYS, PATHS, UNLIMITED
from benchmarks.payloads import API_KEY
from benchmarks.report import number, table
from benchmarks.results import Figures, Section, steady_rate
from benchmarks.running import Plan, open_side, open_stub, provider_options, start_product
from benchmarks.work import fetch
from ringback.up.state import free_port

NAME = "filled"
PLACE = next(path for path in PATHS if path.name == "place")
PAGES_EACH = 15
POLL_S = 0.1
#: A rate is measured from this long after the start on: then every loop of a process has begun.
BEGUN_S = 2.0
GIVE_UP_S = 60.0

#: The attempts of small tables were all made within the hour.
ANY_NUMBER_OF_ATTEMPTS = {"RINGBACK_ATTEMPTS_PER_DAY": "0", "RINGBACK_ATTEMPT_GAP_S": "0"}

_PLACED = "SELECT count(*) FROM attempts WHERE provider_call_id IS NOT NULL"
_UNDELIVERED = "SELECT count(*) FROM outbox WHERE kind = 'abt_event' AND delivered_at IS NULL AND dead_at IS NULL"
_DUE = "SELECT count(*) FROM tasks WHERE status = 'pending' AND due_at <= now()"
_QUEUED = "SELECT count(*) FROM queue_messages WHERE queue = 'calls'"
_RELEASED_MOST = 40_000

_STATEMENTS_EXPLANATION = """\
Each statement of the product is executed in a transaction that is rolled back, the median of five. "Before" is without
its index, or the form that the statement once had.
"""
_PAGES_EXPLANATION = """\
The Voice API as its own process, over the same tables, one request after the other.
"""
_BACKLOG_EXPLANATION = """\
Placing beside undelivered events: the call processor over these tables and over empty ones, turn and turn about, Engage
refusing connections on both. Events leave: Engage accepts them again, one process relays. Release: the scheduler alone,
from due tasks to messages in the queue. Placing while it releases: the call processor beside it.
"""


async def run_filled(ground: Ground, plan: Plan) -> Section:
    calls = plan.filled_calls
    url = await ground.new_database(NAME)
    owner = await asyncpg.connect(url)
    began = time.monotonic()
    await fill(owner, calls)
    undelivered, due = await owner.fetchval(_UNDELIVERED), await owner.fetchval(_DUE)
    line = f"{calls:,} calls, {undelivered:,} undelivered events and {due:,} due tasks"
    line += f", filled in {time.monotonic() - began:.0f} s."
    statements, figures = await filled.measure_statements(url)
    pages, page_figures = await measure_pages(ground, plan, url)
    backlog, backlog_figures = await measure_backlog(ground, plan, owner)
    await owner.close()
    figures |= page_figures | backlog_figures
    parts = (line, statements, _STATEMENTS_EXPLANATION, pages, _PAGES_EXPLANATION, backlog, _BACKLOG_EXPLANATION)
    return Section("Filled tables", "\n\n".join(part.strip() for part in parts) + "\n", figures)


def pages(calls: int) -> dict[str, str]:
    """Paths of the Voice API by title. The numbers are of finished calls, and of contacts with several."""
    call_id = f"00000000-0000-7000-8000-{calls - calls % 1000 - 1:012}"
    return {
        "why, of a phone": "/v1/why?phone=%2B14152000007",
        "why, of a contact": "/v1/why?contact_id=crm-7",
        "the newest calls": "/v1/calls",
        "calls of a phone": "/v1/calls?phone=%2B14152000007",
        "failed calls": "/v1/calls?status=failed",
        "calls that are dialed": "/v1/calls?status=dialing",
        "a call": f"/v1/calls/{call_id}",
        "a call's timeline": f"/v1/calls/{call_id}/timeline",
        "events from the start": "/v1/events?after=",
        "suppressions of a phone": "/v1/suppressions?phone=%2B14162000007",
    }


async def measure_pages(ground: Ground, plan: Plan, url: str) -> tuple[str, Figures]:
    port = free_port()
    env = {**KEYS, "RINGBACK_DATABASE_URL": url}
    child = start_product(ground, "internal_api", f"{NAME}_pages", port, env, plan)
    rows, slowest_ms = [], 0.0
    headers = {"authorization": f"Bearer {API_KEY}"}
    try:
        await child.listens(port)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            for title, path in pages(plan.filled_calls).items():
                took_ms = []
                for _ in range(PAGES_EACH + 2):
                    began = time.perf_counter()
                    async with session.get(path.removesuffix("?after=")) as response:
                        text = await response.text()
                    took_ms.append((time.perf_counter() - began) * 1000)
                    if response.status != 200:
                        raise BenchmarkFailed(f"{path}: {response.status} {text[:600]}")
                # The first ones connect and prepare.
                p50_ms, longest_ms = statistics.median(took_ms[2:]), max(took_ms[2:])
                slowest_ms = max(slowest_ms, p50_ms)
                rows.append((title, f"{len(text):,}", number(p50_ms, 1), number(longest_ms, 1)))
    finally:
        child.stop()
    return table(rows, ("page", "bytes", "p50 ms", "longest ms"), 1), {"filled.slowest_page_ms": slowest_ms}


async def measure_backlog(ground: Ground, plan: Plan, owner: Any) -> tuple[str, Figures]:
    beside, alone, ratio = await place_beside_events(ground, plan, owner)
    leave_rate = await events_leave(ground, plan)
    release_rate, placed_rate = await release_and_place(ground, plan, owner)
    slower = {"engage": 100 * (1 - ratio), "release": 100 * (1 - placed_rate / beside)}
    rows = [
        ("calls placed over empty tables", number(alone, 0), ""),
        ("calls placed beside the undelivered events", number(beside, 0), f"{slower['engage']:.0f} % slower"),
        ("events leave once Engage accepts them", number(leave_rate, 0), ""),
        ("due tasks released", number(release_rate, 0), ""),
        ("calls placed while tasks are released", number(placed_rate, 0), f"{slower['release']:.0f} % slower"),
    ]
    figures = {
        "filled.engage_away_slows_percent": slower["engage"],
        "filled.events_leave_rate": leave_rate,
        "filled.release_rate": release_rate,
        "filled.release_slows_percent": slower["release"],
    }
    return table(rows, ("what", "per second", "than the row before it"), 1), figures


async def place_beside_events(ground: Ground, plan: Plan, owner: Any) -> tuple[float, float, float]:
    """Calls placed per second beside the undelivered events, over empty tables, and the median of their ratios."""
    unavailable = {**UNLIMITED, **ENGAGE, "RINGBACK_ENGAGE_URL": f"http://127.0.0.1:{free_port()}"}
    empty = replace(PLACE, name="place_unfilled", settings=unavailable, waits="")
    placed = await owner.fetchval(_PLACED)
    beside = replace(empty, done=f"SELECT count(*) - {placed} FROM attempts WHERE provider_call_id IS NOT NULL")
    program = PLACE.programs[0]
    async with AsyncExitStack() as stack:
        sides = [
            await stack.enter_async_context(open_side(ground, beside, program, plan, NAME)),
            await stack.enter_async_context(open_side(ground, empty, program, plan)),
        ]
        for side in sides:
            await side.warm_up(plan.seconds)
        for _ in range(plan.rounds):
            for side in sides:
                await side.turn(plan.seconds)
        # The first round only told the pace.
        filled_rates, empty_rates = ([each.rate for each in side.rounds[1:]] for side in sides)
    ratios = [one / other for one, other in zip(filled_rates, empty_rates, strict=True)]
    return statistics.median(filled_rates), statistics.median(empty_rates), statistics.median(ratios)


async def rate_of(count: Callable[[], Awaitable[int]], seconds: float) -> float:
    await asyncio.sleep(BEGUN_S)
    began, before = time.perf_counter(), await count()
    await asyncio.sleep(seconds)
    return (await count() - before) / (time.perf_counter() - began)


async def events_leave(ground: Ground, plan: Plan) -> float:
    """Events per second at Engage, from one process that has nothing else to do."""
    async with open_stub(ground, "engage_stub", f"{NAME}_engage") as engage_url:
        env = {**KEYS, **ENGAGE, "RINGBACK_ENGAGE_URL": engage_url, "RINGBACK_DATABASE_URL": named(ground.url, NAME)}
        port = free_port()
        child = start_product(ground, "webhook_processor", f"{NAME}_relay", port, env, plan)
        try:
            await child.listens(port)

            async def count() -> int:
                child.check()
                return int(await fetch(f"{engage_url}/count"))

            return await rate_of(count, 2 * plan.seconds)
        finally:
            child.stop()


async def release_and_place(ground: Ground, plan: Plan, owner: Any) -> tuple[float, float]:
    """Due tasks per second that the scheduler alone releases, and calls per second that are placed beside it."""
    wanted = min(_RELEASED_MOST, int(0.8 * await owner.fetchval(_DUE)))
    async with open_stub(ground, "provider_stub", f"{NAME}_provider", *provider_options(plan.seed + 1)) as provider_url:
        urls = {"RINGBACK_DATABASE_URL": named(ground.url, NAME), "RETELL_BASE_URL": provider_url}
        env = {**KEYS, **UNLIMITED, **ANY_NUMBER_OF_ATTEMPTS, **urls}
        async with AsyncExitStack() as stack:
            port = free_port()
            scheduler = start_product(ground, "scheduler", f"{NAME}_scheduler", port, env, plan)
            stack.callback(scheduler.stop)
            samples = [(time.perf_counter(), 0)]
            while samples[-1][1] < wanted:
                scheduler.check()
                if samples[-1][0] - samples[0][0] > GIVE_UP_S:
                    raise BenchmarkFailed(f"{samples[-1][1]} of {wanted} tasks were released:\n{scheduler.tail()}")
                await asyncio.sleep(POLL_S)
                samples.append((time.perf_counter(), await owner.fetchval(_QUEUED)))
            processor = start_product(ground, PLACE.service, f"{NAME}_processor", port := free_port(), env, plan)
            stack.callback(processor.stop)
            await processor.listens(port)

            async def count() -> int:
                processor.check()
                return int(await fetch(f"{provider_url}/count"))

            return steady_rate(samples), await rate_of(count, 2 * plan.seconds)
