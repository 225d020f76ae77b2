"""The whole product on a real database, with visitors of every role."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ringback.config import read_settings
from ringback.domain.access import Role
from ringback.process import application
from ringback.up.stack import SERVICES
from ringback.web.auth import hash_key
from ringback.wiring import Dependencies, open_dependencies

ORIGIN = "http://localhost:8080"
KEYS = {role: f"rbk_{role}" for role in Role}
PHONE = "+14155550100"


@dataclass
class Browser:
    """A client that keeps cookies, follows no redirect, and sends forms as a browser does."""

    http: httpx.AsyncClient

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(path, params=query or None)

    async def post(self, path: str, page: str, /, origin: str | None = ORIGIN, **fields: str) -> httpx.Response:
        """Send a form with the token of the page that has it."""
        form = {"csrf": csrf_in(page), **fields}
        return await self.http.post(path, data=form, headers={"Origin": origin} if origin is not None else {})

    async def sign_in(self, role: Role) -> httpx.Response:
        page = (await self.get("/console/login")).text
        return await self.post("/console/login", page, api_key=KEYS[role])


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


@pytest.fixture
async def parts(database_url: str, clock) -> AsyncIterator[Dependencies]:
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=True)
    async with open_dependencies(settings, clock) as opened:
        for role, key in KEYS.items():
            await opened.api_keys.add(f"the {role}'s", hash_key(key), opened.clock.now(), role)
        yield opened


@pytest.fixture
async def app(parts: Dependencies) -> FastAPI:
    return application(parts, [module.build_service(parts) for module in SERVICES])


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
