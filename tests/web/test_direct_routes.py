"""The product's routes are found without a search, and are the ones that the framework would find."""

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route

from ringback.domain.errors import StoreUnavailable
from ringback.services.internal_api import internal_routes
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.direct_routes import PATTERN, DirectRoutes
from ringback.web.problems import Problem
from ringback.web.routes.actions import BusinessApi, action_routes
from ringback.web.routes.calls import VoiceApi
from ringback.web.routes.operator import OperatorRoutes, operator_routes
from ringback.web.routes.retell import RetellApi, retell_routes


async def no_key(request):
    return None


def product():
    routers = [
        internal_routes(VoiceApi(*[None] * 8), no_key),
        operator_routes(OperatorRoutes(*[None] * 7), no_key),
        action_routes(BusinessApi(None, None), no_key),
    ]
    return create_application("test", routers, retell_routes(RetellApi(*[None] * 7)), make_metrics())


def scope_of(method, path):
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}


async def found_directly(routes, method, path):
    """The pattern of the route. None: the request was left to the framework."""
    left = []

    async def framework(scope, receive, send):
        left.append(scope)

    async def send(message):
        return None

    direct, scope = DirectRoutes(framework, routes), scope_of(method, path)
    for table in (direct._by_path, direct._by_start):
        for key, found in table.items():
            table[key] = type(found)(answered, found.pattern, found.parameter)
    await direct(scope, None, send)
    return None if left else (scope[PATTERN], scope["path_params"])


async def answered(request):
    return PlainTextResponse("")


def found_by_framework(routes, method, path):
    for route in routes:
        match, child = route.matches(scope_of(method, path))
        if match is Match.FULL:
            return route.path, child["path_params"]
    return None


async def test_each_route_is_the_one_that_the_framework_finds():
    routes = product().routes
    asked = [
        (method, route.path.replace("{", "").replace("}", ""))
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods
    ]
    assert len(asked) > 15
    direct = [await found_directly(routes, *one) for one in asked]
    by_framework = [found_by_framework(routes, *one) for one in asked]
    assert [
        one for one, found, wanted in zip(asked, direct, by_framework, strict=True) if found not in (None, wanted)
    ] == []
    # The framework serves the routes with a parameter in the middle.
    assert {path for (_, path), found in zip(asked, direct, strict=True) if found is None} == {
        "/v1/calls/call_id/cancel",
        "/v1/calls/call_id/timeline",
    }


@pytest.mark.parametrize("path", ["/v1/calls/", "/v1/calls\n", "/v1/retell/functions/", "/v1/retell/functions/a/b", ""])
async def test_another_path_is_left_to_the_framework(path):
    assert await found_directly(product().routes, "POST", path) is None


async def test_another_method_is_answered_by_the_framework():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(product()), base_url="http://test") as http:
        answer = await http.put("/v1/calls")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


async def test_an_error_of_an_endpoint_is_a_problem():
    errors = [Problem(418, "teapot", "A teapot."), StoreUnavailable("away"), RuntimeError("+14155550100")]

    async def fail(request):
        raise errors.pop(0)

    app = create_application("test", [], [Route("/x", fail)], make_metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answers = [await http.get("/x") for _ in range(3)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (418, "teapot"),
        (503, "unavailable"),
        (500, "internal_error"),
    ]
