"""Two played days in one database, which every test of this folder reads, and their console over real HTTP."""

import asyncio
import io
import shutil
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from ringback.config import Settings
from ringback.domain.access import Role
from ringback.process import application, run_loop
from ringback.services import internal_api
from ringback.up.demo import make_console
from ringback.up.played_week.command import SETTINGS, Week, play_week
from ringback.up.stack import Plan, make_plan
from ringback.web.auth import hash_key
from ringback.web.server import listen, serve_http
from ringback.wiring import Dependencies, open_dependencies
from tests.audit_log import entry_at
from tests.fixed_clock import FixedClock
from tests.postgresql import copy_database
from tests.web.console.conftest import csrf_in

#: A Wednesday, at half past three in New York. The first two days of the week are played.
UNTIL = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)
WEEK = Week(calls=110, seed=20261125, until=UNTIL, lasts=timedelta(days=2))
KEYS = {role: f"rbk_{role}_of_the_week" for role in (Role.VIEWER, Role.OPERATOR)}
GIVE_UP = """UPDATE outbox SET dead_at = $1, tries = 5, refusals = 5, last_error = 'http_404', delivered_at = NULL
             WHERE id IN (SELECT id FROM outbox WHERE kind = 'abt_event' ORDER BY id DESC LIMIT 3)"""


@dataclass(frozen=True)
class Played:
    """The installation after its week: what the command printed, and the parts over its database."""

    plan: Plan
    is_exact: bool
    printed: str

    @asynccontextmanager
    async def parts(self) -> AsyncIterator[Dependencies]:
        async with open_dependencies(self.plan.settings, FixedClock(UNTIL)) as deps:
            yield deps


@pytest.fixture(scope="session")
def played(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    name = f"week_{uuid.uuid4().hex[:8]}"
    url = asyncio.run(copy_database(server_url, template_database, name))
    data_dir = tmp_path_factory.mktemp("week")
    bound = listen("127.0.0.1", 0)
    plan = make_plan(data_dir, "127.0.0.1", bound.getsockname()[1], {"RINGBACK_DATABASE_URL": url} | SETTINGS)
    printed = io.StringIO()

    async def play() -> bool:
        assert plan.engage is not None
        await plan.engage.start()
        try:
            is_exact = await play_week(plan, bound, WEEK, make_console(printed))
        finally:
            await plan.engage.stop()
        async with open_dependencies(plan.settings, FixedClock(UNTIL)) as deps:
            # Two days are too few for a delivery that is given up.
            await deps.pool.execute(GIVE_UP, UNTIL)
        return is_exact

    yield Played(plan, run_loop(play()), printed.getvalue())
    bound.close()


@contextmanager
def served(settings: Settings, now: datetime = UNTIL) -> Iterator[str]:
    """Serve the console in a thread of its own, at that time. Yields its address."""
    bound = listen("127.0.0.1", 0)
    began = threading.Event()
    server = SimpleNamespace(loop=None, stop=None)

    async def serve() -> None:
        server.loop, server.stop, ready = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        async with open_dependencies(settings, FixedClock(now)) as deps:
            for role, key in KEYS.items():
                await deps.api_keys.add(f"the {role}'s", hash_key(key), entry_at(deps.clock.now()), role)
            app = application(deps, [internal_api.build_service(deps)])
            serving = asyncio.create_task(serve_http(app, bound, server.stop, ready))
            await ready.wait()
            began.set()
            await serving

    thread = threading.Thread(target=lambda: run_loop(serve()), daemon=True)
    thread.start()
    assert began.wait(120)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.loop.call_soon_threadsafe(server.stop.set)
    thread.join(30)


@pytest.fixture(scope="session")
def console_url(played: Played) -> Iterator[str]:
    with served(played.plan.settings) as url:
        yield url


def sign_in(http: httpx.Client, api_key: str) -> None:
    """Sign in as a browser does."""
    token = csrf_in(http.get("/console/login").text)
    origin = {"Origin": str(http.base_url).rstrip("/")}
    assert http.post("/console/login", data={"csrf": token, "api_key": api_key}, headers=origin).status_code == 303


@pytest.fixture(scope="session")
def visitor(played: Played, console_url: str) -> Iterator[httpx.Client]:
    """A client that is signed in with the role admin."""
    with httpx.Client(base_url=console_url, timeout=30) as http:
        sign_in(http, played.plan.state.api_key)
        yield http


#: The commands of Debian's browser, the smaller one first.
BROWSERS = ("chromium-headless-shell", "chromium")
NO_BROWSER = f"no browser was tried: none of {' and '.join(BROWSERS)} is installed; `make browser` installs one"


def find_browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser(console_url: str) -> Iterator[Browser]:
    """Debian's Chromium. Its client keeps an event loop, so what has one of its own is made before."""
    command = find_browser()
    if command is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=command)
        yield opened
        opened.close()


def cookies(http: httpx.Client) -> list[Any]:
    """The session of a client, for a browser."""
    return [{"name": one.name, "value": one.value, "url": str(http.base_url)} for one in http.cookies.jar]


def newest(http: httpx.Client, status: str) -> tuple[str, str]:
    """The call id and the contact id of the newest call in this state, as the list of calls shows them."""
    row = http.get("/console/calls", params={"status": status}).text.partition(" data-row>")[2]
    call_id, contact_id = (row.partition(mark)[2].partition('"')[0] for mark in ("/console/calls/", "contact_id="))
    assert call_id, f"no call is {status}"
    return call_id, contact_id
