"""The console over filled tables: the first byte of each page, and what open live pages cost the process."""

import asyncio
import re
import statistics
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg

from benchmarks.analytics import fill_attempts
from benchmarks.child import BenchmarkFailed, Child
from benchmarks.filling import fill
from benchmarks.ground import Ground
from benchmarks.paths import KEYS
from benchmarks.payloads import API_KEY, LATER, call_request
from benchmarks.report import number, table
from benchmarks.results import Figures, Section
from benchmarks.running import Plan, start_product
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.up.state import free_port

NAME = "console"
#: Requests of a page, one after the other, after two that connect and prepare.
EACH = 30
FIRST_BYTE_MS = 50
VIEWERS = 50
#: Calls that are accepted per second beside the viewers, so that every pass of the live loop has something to tell.
ACCEPTED_PER_S = 10
#: A turn with viewers, as a multiple of a path's turn: the loop reads once in one to five seconds.
TURNS_LONG = 5
#: Seconds that it takes at least: the loop may be late on a busy machine, and the viewers must hear something.
LEAST_TURN_S = 8.0
#: Attempts that the statistics count, of each ten calls.
COUNTED_OF_TEN = 1
_LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]+)"')
_EXPLANATION = f"""\
The Voice API as its own process, which serves the console, over {{}}. A signed-in admin asks for each page {EACH}
times, one after the other, over one connection. The first byte counts from the request on; the goal is
{FIRST_BYTE_MS} ms. The page `doctor` is left out: it waits for Retell, Engage and the queues.
"""
_VIEWERS_EXPLANATION = f"""\
{VIEWERS} streams of the first page, a list of calls and one call, in turn with none, while {ACCEPTED_PER_S} calls are
accepted per second. CPU is that of the process, and of PostgreSQL, in percent of one core.
"""


def pages(calls: int, today: datetime) -> dict[str, str]:
    """Addresses below /console by title. The call is finished, and its contact has several calls."""
    call_id = f"00000000-0000-7000-8000-{calls - calls % 1000 - 1:012}"
    of_day = f"since={today - timedelta(days=2):%Y-%m-%d}&until={today - timedelta(days=1):%Y-%m-%d}"
    week, month = (f"from={today - timedelta(days=days):%Y-%m-%d}&to={today:%Y-%m-%d}" for days in (7, 30))
    return {
        "now": "",
        "calls": "/calls",
        "calls, failed": "/calls?status=failed",
        "calls, in progress": "/calls?status=dialing",
        "calls, scheduled": "/calls?status=scheduled",
        "calls, stuck": "/calls?stuck=true",
        "calls of a phone": "/calls?phone=%2B14152000007",
        "calls of an agent": "/calls?agent_id=agent_a",
        "calls of a day": f"/calls?{of_day}",
        "a call": f"/calls/{call_id}",
        "a person, by contact": "/people?contact_id=crm-7",
        "a person, by phone": "/people?phone=%2B14152000007",
        "notes of a person": "/written?kind=notes&contact_id=crm-7",
        "fields of a person": "/written?kind=fields&contact_id=crm-7",
        "suppressions": "/suppressions",
        "suppressions of a phone": "/suppressions?phone=%2B14162000007",
        "deliveries, waiting": "/deliveries",
        "deliveries, given up": "/deliveries?state=failed",
        "deliveries, delivered": "/deliveries?state=delivered",
        "dead letters": "/dead-letters",
        "analytics of today": "/analytics",
        "analytics of a week": f"/analytics?{week}&step=day",
        "analytics of a month, by agent": f"/analytics?{month}&step=day&by=agent",
        "analytics of a month, by number": f"/analytics?{month}&step=day&by=number",
        "analytics of an agent": f"/analytics?{month}&step=week&agent_id=agent_3&metric=human_rate&by=outcome",
        "heatmap": "/heatmap",
        "counted rows of a month": f"/rows?{month}&measure=attempts",
        "numbers": "/numbers",
        "audit": "/audit",
        "settings": "/settings",
        "keys": "/keys",
        "help": "/help",
    }


async def run_console(ground: Ground, plan: Plan) -> Section:
    calls, today = plan.filled_calls, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    url = await ground.new_database(NAME)
    counted = await fill_all(url, calls, today, plan.seed)
    port = free_port()
    child = start_product(ground, "internal_api", NAME, port, {**KEYS, "RINGBACK_DATABASE_URL": url}, plan)
    try:
        await child.listens(port)
        origin = f"http://127.0.0.1:{port}"
        connector = aiohttp.TCPConnector(limit=0)
        jar = aiohttp.CookieJar(unsafe=True)  # a cookie of an address
        async with aiohttp.ClientSession(origin, connector=connector, cookie_jar=jar) as session:
            await sign_in(session, origin)
            pages_table, figures = await measure_pages(session, pages(calls, today))
            viewers_table, viewer_figures = await measure_viewers(ground, child, session, plan, calls)
    finally:
        child.stop()
    over = f"{calls:,} calls and {counted:,} attempts that the statistics count"
    parts = (pages_table, _EXPLANATION.format(over), viewers_table, _VIEWERS_EXPLANATION)
    return Section("The console", "\n\n".join(part.strip() for part in parts) + "\n", figures | viewer_figures)


async def fill_all(url: str, calls: int, last: datetime, seed: int) -> int:
    """Fill every table, and then count attempts of further calls. Returns their number."""
    counted = calls * COUNTED_OF_TEN // 10
    owner = await asyncpg.connect(url)
    pool = await open_pool(url, max_size=2, is_unlimited=True)
    try:
        await fill(owner, calls)
        # The numbers of their calls are above those of the calls that are there.
        await fill_attempts(owner, counted, last, seed, first=2 * calls)
        rows = PostgresRollupRows(pool, UTC)
        while await rows.count_uncounted(500):
            pass
        while await rows.fold(5000):
            pass
        await owner.execute("VACUUM ANALYZE", timeout=600)
    finally:
        pool.terminate()
        await owner.close()
    return counted


async def sign_in(session: aiohttp.ClientSession, origin: str) -> None:
    async with session.get("/console/login") as answer:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', await answer.text())
    assert found is not None, "the login is a form"
    form = {"csrf": found[1], "api_key": API_KEY}
    async with session.post("/console/login", data=form, headers={"Origin": origin}) as answer:
        if answer.status != 200 or str(answer.url).endswith("/login"):
            raise BenchmarkFailed(f"the login was refused: {answer.status}")


async def measure_pages(session: aiohttp.ClientSession, asked: dict[str, str]) -> tuple[str, Figures]:
    """The table, the slowest page, the heaviest one with its files, and the addresses of other hosts."""
    lines, files = [], dict[str, int]()
    figures = {"console.first_byte_p50_ms": 0.0, "console.first_byte_p95_ms": 0.0, "console.page_kb": 0.0}
    others = set[str]()
    for title, path in asked.items():
        took_ms, text = [], ""
        for _ in range(EACH + 2):
            began = time.perf_counter()
            async with session.get(f"/console{path}", allow_redirects=False) as answer:
                took_ms.append((time.perf_counter() - began) * 1000)
                text = await answer.text()
            if answer.status != 200:
                raise BenchmarkFailed(f"/console{path}: {answer.status} {text[:600]}")
        loaded = _LOADED.findall(text)
        others |= {link for link in loaded if not link.startswith("/console/")}
        for link in set(loaded) - files.keys() - others:
            async with session.get(link) as answer:
                files[link] = len(await answer.read())
        kb = (len(text.encode()) + sum(files.get(link, 0) for link in loaded)) / 1000
        in_order = sorted(took_ms[2:])
        p50_ms, p95_ms = in_order[EACH // 2], in_order[int(EACH * 0.95)]
        for name, value in (("first_byte_p50_ms", p50_ms), ("first_byte_p95_ms", p95_ms), ("page_kb", kb)):
            figures[f"console.{name}"] = max(figures[f"console.{name}"], value)
        lines.append((title, number(p50_ms, 1), number(p95_ms, 1), number(kb, 0), is_met(p95_ms)))
    figures["console.other_hosts"] = len(others)
    return table(lines, ("page", "p50 ms", "p95 ms", "KB with its files", "met"), 1), figures


def is_met(p95_ms: float) -> str:
    return "yes" if p95_ms <= FIRST_BYTE_MS else "**no**"


async def measure_viewers(
    ground: Ground, child: Child, session: aiohttp.ClientSession, plan: Plan, calls: int
) -> tuple[str, Figures]:
    """CPU with and without viewers, turn and turn about. The share that viewers add is the median of the rounds."""
    call_id = f"00000000-0000-7000-8000-{calls - calls % 1000 - 1:012}"
    streams = ("/console/live/now", "/console/live/calls", f"/console/live/calls/{call_id}")
    shares: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    accepted = heard = 0
    for _ in range(plan.rounds):
        for has_viewers in (False, True):
            async with AsyncExitStack() as stack:
                reading = []
                for position in range(VIEWERS if has_viewers else 0):
                    stream = session.get(streams[position % len(streams)], timeout=aiohttp.ClientTimeout(total=None))
                    answer = await stack.enter_async_context(stream)
                    if answer.status != 200:
                        raise BenchmarkFailed(f"a stream was refused: {answer.status}")
                    reading.append(asyncio.create_task(count_messages(answer)))
                await asyncio.sleep(plan.seconds)  # the first pass tells everything
                before, began = (child.cpu_s(), ground.cpu_s()), time.perf_counter()
                accepted = await accept_for(session, max(TURNS_LONG * plan.seconds, LEAST_TURN_S), accepted)
                took_s = time.perf_counter() - began
                shares[has_viewers].append(
                    ((child.cpu_s() - before[0]) / took_s * 100, (ground.cpu_s() - before[1]) / took_s * 100)
                )
                for one in reading:
                    one.cancel()
                heard += sum(await asyncio.gather(*reading))
    if plan.rounds and not heard:
        raise BenchmarkFailed("the viewers heard nothing")
    without, beside = ([statistics.median(part) for part in zip(*shares[one], strict=True)] for one in (False, True))
    added = statistics.median(b[0] - a[0] for a, b in zip(shares[False], shares[True], strict=True))
    lines = [
        ("without viewers", number(without[0], 1), number(without[1], 1)),
        (f"with {VIEWERS} viewers", number(beside[0], 1), number(beside[1], 1)),
        ("added by them", number(added, 1), number(beside[1] - without[1], 1)),
    ]
    return table(lines, ("", "CPU of the process, %", "CPU of PostgreSQL, %"), 1), {
        "console.viewers_add_percent": added
    }


async def count_messages(answer: aiohttp.ClientResponse) -> int:
    """The messages of a stream until the reader is cancelled."""
    count = 0
    try:
        async for line in answer.content:
            count += line.startswith(b"data: ")
    except asyncio.CancelledError:
        pass
    return count


async def accept_for(session: aiohttp.ClientSession, seconds: float, first: int) -> int:
    """Accept calls at the rate for these seconds. Returns the number of the next call."""
    began, count = time.perf_counter(), 0
    headers = {"authorization": f"Bearer {API_KEY}"}
    while (spent_s := time.perf_counter() - began) < seconds:
        if count <= spent_s * ACCEPTED_PER_S:
            body = call_request(first + count, datetime.now(UTC) + LATER)
            async with session.post("/v1/calls", json=body, headers=headers) as answer:
                if answer.status != 202:
                    raise BenchmarkFailed(f"a call was refused: {answer.status} {await answer.text()}")
            count += 1
        else:
            await asyncio.sleep(0.01)
    return first + count
