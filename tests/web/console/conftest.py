"""The whole product on a real database, with visitors of every role."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.config import read_settings
from ringback.domain.access import Role
from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.process import Service, application
from ringback.up.stack import SERVICES
from ringback.web.auth import hash_key
from ringback.wiring import Dependencies, open_dependencies
from tests.audit_log import entry_at
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack
from tests.flows.rollups.conftest import CountingStack

ORIGIN = "http://localhost:8080"
KEYS = {role: f"rbk_{role}" for role in Role}
PHONE = "+14155550100"


@dataclass
class Browser:
    """A client that keeps cookies, follows no redirect, and sends forms as a browser does."""

    http: httpx.AsyncClient
    origin: str = ORIGIN

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(path, params=query or None)

    async def post(self, path: str, page: str, /, origin: str | None = "", **fields: str) -> httpx.Response:
        """Send a form with the token of the page that has it. The origin is that of the page, if none is given."""
        form, origin = {"csrf": csrf_in(page), **fields}, self.origin if origin == "" else origin
        return await self.http.post(path, data=form, headers={"Origin": origin} if origin is not None else {})

    async def sign_in(self, role: Role) -> httpx.Response:
        page = (await self.get("/console/login")).text
        return await self.post("/console/login", page, api_key=KEYS[role])


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


@pytest.fixture
def report_zone() -> str:
    return "UTC"


@pytest.fixture
async def parts(database_url: str, clock, report_zone: str) -> AsyncIterator[Dependencies]:
    given = {
        "RINGBACK_DATABASE_URL": database_url,
        "RINGBACK_ERASURE_KEY": "an-erasure-key-of-the-tests-00001",
        "RINGBACK_REPORT_ZONE": report_zone,
    }
    settings = read_settings(given, emulated=True)
    async with open_dependencies(settings, clock) as opened:
        for role, key in KEYS.items():
            await opened.api_keys.add(f"the {role}'s", hash_key(key), entry_at(opened.clock.now()), role)
        yield opened


@pytest.fixture
async def services(parts: Dependencies) -> list[Service]:
    return [module.build_service(parts) for module in SERVICES]


@pytest.fixture
async def app(parts: Dependencies, services: list[Service]) -> FastAPI:
    return application(parts, services)


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[Browser]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Browser(http)


@pytest.fixture
async def visitors(app: FastAPI) -> AsyncIterator[dict[Role, Browser]]:
    """A signed-in browser of each role that may use the console."""
    found = {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        browser = Browser(httpx.AsyncClient(transport=transport, base_url=ORIGIN))
        assert (await browser.sign_in(role)).status_code == 303
        found[role] = browser
    yield found
    for browser in found.values():
        await browser.http.aclose()


@pytest.fixture
def admin(visitors: dict[Role, Browser]) -> Browser:
    return visitors[Role.ADMIN]


async def place(browser: Browser, contact_id: str = "crm-42", phone: str = PHONE, **more: Any) -> str:
    body = {
        "contact": {"contact_id": contact_id, "phone": phone, "time_zone": "America/Los_Angeles"},
        "agent_id": "agent_1",
        "from_number": "+14155550199",
        **more,
    }
    answer = await browser.http.post("/v1/calls", json=body, headers={"X-API-Key": KEYS[Role.ADMIN]})
    assert answer.status_code == 202, answer.text
    return answer.json()["call_id"]


async def act(browser: Browser, action: str, args: dict[str, Any], **target: str) -> None:
    """Ask for an action as a system."""
    answer = await browser.http.post(
        f"/v1/actions/{action}", json={**target, "args": args}, headers={"X-API-Key": KEYS[Role.ADMIN]}
    )
    assert answer.status_code == 200, answer.text


class ConsoleStack(CountingStack):
    """Plays recorded calls into the database of the console, whose days are those of UTC."""

    def __init__(self, pool: Pool, clock: Any) -> None:
        EventStack.__init__(self, PostgresStore(pool, clock_is_real=False), pool, clock)


@pytest.fixture
def stack(pool: Pool, clock: Any) -> ConsoleStack:
    return ConsoleStack(pool, clock)


@pytest.fixture
async def calls(stack: ConsoleStack, admin: Browser, pool: Pool) -> list[str]:
    """One call of each kind: good, partial, busy, unclear, planned, suppressed, and a delivery that was given up.

    The good one has what actions wrote.
    """
    found = []
    for number, recording in enumerate((r.COMPLETED, r.PARTIAL, r.BUSY)):
        talk = await stack.talk(contact=number)
        await stack.play(talk, recording)
        found.append(talk.call_id)
    for action, args in (
        ("set_disposition", {"code": "interested", "note": "wants the brochure"}),
        ("note_writeback", {"note": "asked for Bob"}),
        ("field_writeback", {"fields": {"company": "Acme"}}),
    ):
        await act(admin, action, args, call_id=found[0])
    stack.provider.answer = DialAnswer(DialAnswerKind.AMBIGUOUS, "http_500")
    found.append((await stack.talk(contact=3)).call_id)
    found.append(await place(admin, "crm-planned", "+14155550104", not_before="2026-12-03T17:00:00Z"))
    # The list of refused calls reads by the time in their ids, which the API takes from the real clock.
    found.append(await stack.accept(contact=4))
    page = (await admin.get(f"/console/calls/{found[-1]}")).text
    await admin.post(f"/console/calls/{found[-1]}/suppress", page, reason="asked by letter")
    await pool.execute(
        "UPDATE outbox SET dead_at = now(), tries = 9, last_error = 'http_500' WHERE id = (SELECT min(id) FROM outbox)"
    )
    return found
