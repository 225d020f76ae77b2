"""Open pages hear what changes, over a server and its connections."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import httpx
import pytest

from ringback.domain.access import Role
from ringback.domain.errors import StoreUnavailable
from ringback.web.auth import hash_key
from ringback.web.console import live as updates
from ringback.web.console.live import Live, NowViewer, Viewer
from ringback.web.server import listen, serve_http
from ringback.wiring import POOL_SIZE
from tests.audit_log import entry_at

from .conftest import Browser, place


@pytest.fixture
def live(services) -> Live:
    (service,) = (one for one in services if one.name == "internal-api")
    (loop,) = service.loops
    return loop.__self__


@pytest.fixture
async def served(app, live: Live) -> AsyncIterator[Browser]:
    """A signed-in operator's browser at a server. When the server stops, no stream may be left."""
    bound, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    origin = f"http://localhost:{bound.getsockname()[1]}"
    serving = asyncio.create_task(serve_http(app, bound, stop, ready))
    await ready.wait()
    async with httpx.AsyncClient(base_url=origin, limits=httpx.Limits(max_connections=None)) as http:
        browser = Browser(http, origin)
        assert (await browser.sign_in(Role.OPERATOR)).status_code == 303
        yield browser
    stop.set()
    await serving


@dataclass
class Stream:
    lines: AsyncIterator[str]

    async def message(self) -> dict[str, Any] | None:
        """The next message. None: the stream was closed."""
        async for line in self.lines:
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
        return None


@asynccontextmanager
async def watching(browser: Browser, path: str, **query: str) -> AsyncIterator[Stream]:
    async with browser.http.stream("GET", path, params=query or None, timeout=60) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        yield Stream(lines)


async def test_the_first_page_hears_only_what_changes(served: Browser, live: Live) -> None:
    async with watching(served, "/console/live/now") as stream:
        await live.tell_all()
        first = await stream.message()
        assert first["as_of"] == "17:00:00" and "Nothing needs a person now." in first["html"]
        await live.tell_all()
        assert await stream.message() == {"as_of": "17:00:00"}
        await place(served)
        await live.tell_all()
        assert '<li data-key="status=queued">' in (await stream.message())["html"]
    page = (await served.get("/console")).text
    assert '<div data-live="/console/live/now">' in page and 'id="live" hidden' in page
    # The page has the very text that the stream begins with, so nothing moves when the stream begins.
    assert page.count("data-key=") == (await html_of(served, live, "/console/live/now")).count("data-key=")


async def test_a_head_takes_no_place_of_a_viewer(served: Browser, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the client closes its connection, no stream has begun."""
    begun: list[Viewer] = []
    right = Live._events
    monkeypatch.setattr(Live, "_events", lambda self, viewer: begun.append(viewer) or right(self, viewer))
    call_id = await place(served)
    for path in ("/console/live/now", "/console/live/calls", f"/console/live/calls/{call_id}"):
        answer = await served.http.head(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (begun, live.viewers) == ([], set()), path
    assert (await served.http.head(f"/console/live/calls/{'0' * 8}-{call_id[9:]}")).status_code == 404


async def html_of(browser: Browser, live: Live, path: str) -> str:
    async with watching(browser, path) as stream:
        await live.tell_all()
        return (await stream.message())["html"]


async def test_a_list_hears_its_rows_and_counts_the_new_ones(served: Browser, live: Live) -> None:
    first = await place(served, "crm-1", "+14155550101")
    page = (await served.get("/console/calls", agent_id="agent_1")).text
    assert '<tbody data-live="/console/live/calls"' in page
    (newest,) = re.findall(r'data-newest="([^"]+)"', page)
    assert newest == first
    await place(served, "crm-2", "+14155550102")  # after the page was loaded, before its stream began
    async with watching(served, "/console/live/calls", agent_id="agent_1", newest=newest) as stream:
        await live.tell_all()
        told = await stream.message()
        assert f'data-key="{first}"' in told["html"] and told["fresh"] == 1
        await place(served, "crm-3", "+14155550103")
        await place(served, "crm-4", "+14155550104", agent_id="agent_2")
        await live.tell_all()
        assert await stream.message() == {"as_of": "17:00:00", "fresh": 2}
        page = (await served.get(f"/console/calls/{first}")).text
        await served.post(f"/console/calls/{first}/cancel", page, confirm="cancel")
        await live.tell_all()
        told = await stream.message()
        assert re.findall(r'data-key="([^"]+)"', told["html"]) == [first] and ">cancelled</span>" in told["html"]


async def test_a_list_of_a_state_counts_calls_that_come_to_it(served: Browser, live: Live) -> None:
    made = [await place(served, f"crm-{n}", f"+1415555010{n}") for n in range(3)]
    page = (await served.get(f"/console/calls/{made[0]}")).text
    await served.post(f"/console/calls/{made[0]}/cancel", page, confirm="cancel")
    async with watching(served, "/console/live/calls", status="cancelled", newest=made[0]) as stream:
        await live.tell_all()
        assert (await stream.message())["fresh"] == 0
        page = (await served.get(f"/console/calls/{made[1]}")).text
        await served.post(f"/console/calls/{made[1]}/cancel", page, confirm="cancel")
        await live.tell_all()
        assert (await stream.message())["fresh"] == 1


async def test_a_page_of_older_calls_counts_no_new_ones(served: Browser, live: Live) -> None:
    first, second = [await place(served, f"crm-{n}", f"+1415555010{n}") for n in range(2)]
    async with watching(served, "/console/live/calls", cursor=second) as stream:
        await live.tell_all()
        told = await stream.message()
        assert "fresh" not in told and re.findall(r'<tr data-key="([^"]+)" data-row', told["html"]) == [first]


async def test_a_call_hears_its_story(served: Browser, live: Live) -> None:
    call_id = await place(served)
    page = (await served.get(f"/console/calls/{call_id}")).text
    async with watching(served, f"/console/live/calls/{call_id}") as stream:
        await live.tell_all()
        before = await stream.message()
        assert before["html"].count(" data-entry>") == page.count(" data-entry>") == 3
        await served.post(f"/console/calls/{call_id}/cancel", page, confirm="cancel")
        await live.tell_all()
        after = await stream.message()
        assert after["html"].count(" data-entry>") > 3 and "cancelled" in after["html"]
        await live.tell_all()
        assert await stream.message() == {"as_of": "17:00:00"}
    assert (await served.get("/console/live/calls/none")).status_code == 404


async def test_fifty_viewers_cost_as_many_statements_as_one(served: Browser, live: Live, parts) -> None:
    call_id = await place(served)
    asked: list[Any] = []
    async with AsyncExitStack() as every:
        for _ in range(POOL_SIZE):
            (await every.enter_async_context(parts.pool.acquire())).add_query_logger(asked.append)
    counts = []
    for viewers in (1, 50):
        async with AsyncExitStack() as open_pages:
            for path in ("/console/live/now", "/console/live/calls", f"/console/live/calls/{call_id}"):
                for _ in range(viewers):
                    await open_pages.enter_async_context(watching(served, path))
            for _ in ("first", "second"):
                asked.clear()
                await live.tell_all()
                counts.append(len(asked))
        await gone(live)
    assert counts[:2] == counts[2:] and counts[0] > counts[1] > 0


async def gone(live: Live) -> None:
    """Wait until the server has noticed that every browser is gone."""
    while live.viewers:
        await asyncio.sleep(0.01)


async def sign_out(browser: Browser, parts, clock) -> None:
    await browser.post("/console/logout", (await browser.get("/console")).text)


async def wait_twelve_hours(browser: Browser, parts, clock) -> None:
    clock.advance(12 * 3600)


async def revoke(browser: Browser, parts, clock) -> None:
    await parts.api_keys.revoke("the operator's", entry_at(parts.clock.now()))


@pytest.mark.parametrize("end", [sign_out, wait_twelve_hours, revoke])
async def test_the_end_of_a_session_ends_its_stream(served: Browser, live: Live, parts, clock, end) -> None:
    async with watching(served, "/console/live/now") as stream:
        await live.tell_all()
        assert "html" in await stream.message()
        await end(served, parts, clock)
        await live.tell_all()
        assert await stream.message() == {"ended": "The session has ended. Sign in again."}
        assert await stream.message() is None
    assert (await served.get("/console/live/now")).headers["location"] == "/console/login"


async def test_the_end_of_the_process_closes_every_stream(served: Browser, live: Live) -> None:
    stop = asyncio.Event()
    async with watching(served, "/console/live/now") as stream:
        loop = asyncio.create_task(live.run(stop))
        assert "html" in await stream.message()
        stop.set()
        assert await stream.message() is None
        await loop
    assert (await served.get("/console/live/now")).status_code == 503


async def test_an_unavailable_database_leaves_the_streams_open(served: Browser, live: Live, monkeypatch) -> None:
    async def unavailable() -> str:
        raise StoreUnavailable("no server listens there")

    stop, render_now = asyncio.Event(), live.render_now
    monkeypatch.setattr(updates, "EVERY_S", 0.0)
    async with watching(served, "/console/live/now") as stream:
        live.render_now = unavailable
        await live.run(stop)
        live.render_now = render_now
        await live.run(stop)
        assert "html" in await stream.message()


async def test_a_viewer_that_does_not_read_is_closed(live: Live, parts, admin: Browser) -> None:
    viewer = NowViewer(hash_key(admin.http.cookies["ringback_console"]))
    live.viewers.add(viewer)
    for _ in range(updates.MOST_WAITING):
        await live.tell_all()
    assert viewer.messages.qsize() == updates.MOST_WAITING
    await live.tell_all()
    assert (viewer.messages.get_nowait(), viewer.messages.empty()) == (None, True)


async def test_a_full_server_takes_no_more_viewers(served: Browser, live: Live, monkeypatch) -> None:
    monkeypatch.setattr(updates, "MOST_VIEWERS", 1)
    async with watching(served, "/console/live/now"):
        assert (await served.get("/console/live/now")).status_code == 503
    await gone(live)
    async with watching(served, "/console/live/now"):
        pass


def test_the_script_is_small_and_runs_no_text() -> None:
    script = resources.files("ringback.web.console").joinpath("static/console.js").read_text()
    assert len(script.encode()) <= 12_000
    assert not re.search(r"eval|Function\(|document\.write|https?://|setAttribute\(\"on", script)
