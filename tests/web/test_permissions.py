"""Which role may use which endpoint: every route of the APIs with a key of every role."""

import asyncio
from collections.abc import AsyncIterator
from itertools import product

import httpx
import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from ringback.config import read_settings
from ringback.domain.access import KnownKey, Role
from ringback.process import application
from ringback.up.stack import SERVICES
from ringback.web.auth import ApiKeys, Needed, hash_key, make_key
from ringback.web.strict_route import StrictRoute
from ringback.wiring import open_dependencies
from tests.audit_log import entry_at

#: What docs/operations.md promises, written down once more; an endpoint that is missing here has no role yet.
MAY = {
    "POST /v1/calls": {"engage", "admin"},
    "GET /v1/calls": {"engage", "viewer", "operator", "admin"},
    "GET /v1/calls/{call_id}": {"engage", "viewer", "operator", "admin"},
    "GET /v1/calls/{call_id}/timeline": {"engage", "viewer", "operator", "admin"},
    "POST /v1/calls/{call_id}/cancel": {"engage", "operator", "admin"},
    "POST /v1/suppressions": {"engage", "operator", "admin"},
    "GET /v1/suppressions": {"engage", "viewer", "operator", "admin"},
    "DELETE /v1/suppressions/{suppression_id}": {"engage", "operator", "admin"},
    "POST /v1/dialing/pause": {"operator", "admin"},
    "POST /v1/dialing/resume": {"operator", "admin"},
    "GET /v1/settings": {"operator", "admin"},
    "GET /v1/audit": {"operator", "admin"},
    "GET /v1/why": {"engage", "viewer", "operator", "admin"},
    "GET /v1/events": {"engage", "viewer", "operator", "admin"},
    "POST /v1/actions/{action}": {"engage", "admin"},
    "GET /v1/analytics/summary": {"engage", "viewer", "operator", "admin"},
    "GET /v1/analytics/series": {"engage", "viewer", "operator", "admin"},
    "GET /v1/analytics/breakdown": {"engage", "viewer", "operator", "admin"},
    "GET /v1/analytics/rows": {"engage", "viewer", "operator", "admin"},
    "GET /v1/exports/{export}": {"engage", "viewer", "operator", "admin"},
}
#: Signed by Retell, or for anybody: health, metrics and the description of the API.
WITHOUT_A_KEY = {
    "/v1/retell/functions/{action}",
    "/v1/retell/inbound",
    "/retell/webhook",
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui-bundle.js",
    "/docs/swagger-ui.css",
}
KEYS = {role: f"rbk_{role}" for role in Role}


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """Every service of the product, put together as `up` does it."""
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=True)
    async with open_dependencies(settings) as parts:
        for role, key in KEYS.items():
            await parts.api_keys.add(f"the {role}'s", hash_key(key), entry_at(parts.clock.now()), role)
        yield application(parts, [module.build_service(parts) for module in SERVICES])


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


def declared(route: BaseRoute) -> list[str]:
    if not isinstance(route, APIRoute):
        return []
    return [each.call.permission for each in route.dependant.dependencies if isinstance(each.call, Needed)]


async def test_the_table_names_every_operation_and_no_other(app):
    described = {f"{method.upper()} {path}" for path, each in app.openapi()["paths"].items() for method in each}
    assert described == MAY.keys()


async def test_every_route_declares_one_permission_or_needs_no_key_at_all(http, app):
    for operation in MAY:
        method, path = operation.split()
        assert (await http.request(method, path)).status_code == 401, operation
    # The console needs a session: tests/web/console has its table.
    needed = [(route.path, declared(route)) for route in app.routes if not route.path.startswith("/console")]
    assert {path for path, permissions in needed if not permissions} == WITHOUT_A_KEY
    with_a_key = [(path, permissions) for path, permissions in needed if permissions]
    assert len(with_a_key) == len(MAY)
    assert [path for path, permissions in with_a_key if len(permissions) != 1] == []


async def test_every_declared_route_reads_its_request_strictly(app):
    """FastAPI's own reader would answer a problem in another shape, and repeat the input."""
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    of_retell = [path for path in WITHOUT_A_KEY if path.startswith("/v1/")]
    assert len(routes) == len(MAY) + len(of_retell)
    assert [route.path for route in routes if not isinstance(route, StrictRoute)] == []


async def test_each_role_may_do_what_the_table_says_and_nothing_else(http):
    wrong = []
    for (operation, roles), role in product(MAY.items(), Role):
        method, path = operation.split()
        answer = await http.request(method, path, headers={"X-API-Key": KEYS[role]}, json={})
        if (answer.status_code == 403) is (role in roles) or answer.status_code in (401, 405, 500):
            wrong.append((operation, role, answer.status_code))
    assert wrong == []


async def test_a_refusal_is_a_problem_that_says_who_may(http):
    answer = await http.post("/v1/dialing/pause", headers={"X-API-Key": KEYS[Role.ENGAGE]})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["errors"]) == ("forbidden", [])
    assert problem["detail"] == (
        "A key of the role engage may not pause or resume dialing; these roles may: operator, admin."
    )


async def test_what_was_refused_was_not_done(http, app):
    refused = {"X-API-Key": KEYS[Role.VIEWER]}
    assert (await http.post("/v1/dialing/pause", headers=refused)).status_code == 403
    body = {"phone": "+14155550100", "reason": "asked"}
    assert (await http.post("/v1/suppressions", headers=refused, json=body)).status_code == 403
    assert (await http.get("/v1/suppressions", headers=refused, params={"phone": "+14155550100"})).json()["items"] == []
    assert (await http.get("/readyz")).json()["paused"] is False


async def test_the_log_names_the_key_and_never_holds_it(http):
    with structlog.testing.capture_logs() as logged:
        await http.post("/v1/dialing/resume", headers={"X-API-Key": KEYS[Role.OPERATOR]})
        await http.post("/v1/dialing/resume", headers={"X-API-Key": KEYS[Role.VIEWER]})
    told = [(each["event"], each["key_name"], each["needs"]) for each in logged if each["event"].startswith("api_key.")]
    assert told == [("api_key.used", "the operator's", "pause"), ("api_key.refused", "the viewer's", "pause")]
    assert "rbk_" not in str(logged)


async def test_a_retry_with_a_rotated_key_is_the_same_call(http):
    """Idempotency keys are the installation's, not the API key's."""
    body = {
        "contact": {"contact_id": "crm-42", "phone": "+14155550100", "time_zone": "America/New_York"},
        "agent_id": "agent_1",
        "from_number": "+14155550199",
    }
    asked = [
        await http.post("/v1/calls", json=body, headers={"X-API-Key": KEYS[role], "Idempotency-Key": "order-17"})
        for role in (Role.ENGAGE, Role.ADMIN)
    ]
    assert [answer.status_code for answer in asked] == [202, 202]
    assert asked[0].json()["call_id"] == asked[1].json()["call_id"]
    assert asked[1].headers["Idempotent-Replayed"] == "true"


async def test_a_key_that_was_revoked_is_refused_within_seconds(database_url):
    now, key = [100.0], make_key()
    async with open_dependencies(read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=True)) as parts:
        await parts.api_keys.add("crm", hash_key(key), entry_at(parts.clock.now()), Role.ENGAGE)
        keys = ApiKeys(parts.api_keys.find, lambda: now[0])
        assert await keys.known(key) == KnownKey("crm", Role.ENGAGE)
        await parts.api_keys.revoke("crm", entry_at(parts.clock.now()))
        now[0] += 5.0
        assert await keys.known(key) is None


def test_keys_are_looked_up_at_most_once_in_their_seconds():
    asked = []

    async def find(key_hash: str) -> KnownKey:
        asked.append(key_hash)
        return KnownKey("crm", Role.VIEWER)

    async def ask_often() -> None:
        keys = ApiKeys(find, lambda: 0.0)
        for _ in range(20):
            await keys.known("one")

    asyncio.run(ask_often())
    assert len(asked) == 1
