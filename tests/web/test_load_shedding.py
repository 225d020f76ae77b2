"""A crowd at one endpoint gets a 503, and keeps no client from the others."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.limits import LoadShedding


class OpenRequests:
    """An application whose requests stay open until `way_out` is set."""

    def __init__(self):
        self.inside = 0
        self.way_out = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.inside += 1
        await self.way_out.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async def until(self, inside):
        while self.inside < inside:
            await asyncio.sleep(0)


@pytest.fixture
def open_requests():
    return OpenRequests()


@pytest.fixture
async def http(open_requests):
    app = LoadShedding(open_requests, accepts_at_once=2, at_once=1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


async def enter(open_requests, http, *asked):
    """So many are inside then, as were asked for."""
    inside = [asyncio.create_task(http.request(method, path)) for method, path in asked]
    await open_requests.until(len(asked))
    return inside


async def leave(open_requests, inside):
    open_requests.way_out.set()
    return [(await request).status_code for request in inside]


async def test_a_request_beyond_the_limit_gets_a_503_at_once(open_requests, http):
    inside = await enter(open_requests, http, ("POST", "/v1/calls"), ("POST", "/v1/calls"))
    answer = await http.post("/v1/calls")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "unavailable"
    assert await leave(open_requests, inside) == [200, 200]


async def test_a_finished_request_frees_its_slot(open_requests, http):
    await leave(open_requests, await enter(open_requests, http, ("POST", "/v1/calls"), ("POST", "/v1/calls")))
    assert (await http.post("/v1/calls")).status_code == 200


async def test_a_client_that_disconnects_frees_its_slot(open_requests, http):
    inside = await enter(open_requests, http, ("POST", "/v1/suppressions"))
    inside[0].cancel()
    await asyncio.wait(inside)
    open_requests.way_out.set()
    assert (await http.post("/v1/suppressions")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/calls"),
        ("POST", "/v1/calls/call-1/cancel"),
        ("POST", "/v1/suppressions"),
        ("POST", "/v1/dialing/pause"),
        ("POST", "/v1/actions/note_writeback"),
        ("POST", "/v1/retell/functions/note_writeback"),
        ("POST", "/v1/retell/inbound"),
        ("POST", "/retell/webhook"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    ],
)
async def test_a_crowd_of_new_calls_keeps_no_client_from_another_endpoint(open_requests, http, method, path):
    crowd = [("POST", "/v1/calls")] * 2
    inside = await enter(open_requests, http, *crowd, (method, path))
    assert await leave(open_requests, inside) == [200] * 3


async def test_tool_calls_and_health_are_never_counted(open_requests, http):
    asked = [("POST", "/v1/retell/functions/note_writeback"), ("GET", "/healthz")] * 5
    assert await leave(open_requests, await enter(open_requests, http, *asked)) == [200] * 10


async def test_a_refusal_is_counted_under_its_kind(monkeypatch):
    monkeypatch.setattr(LoadShedding.__init__, "__defaults__", (0, 0))
    metrics = make_metrics()
    app = create_application("Test", [APIRouter()], [Route("/v1/calls", PlainTextResponse("x"))], metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
        await http.post("/v1/calls")
        await http.post("/v1/calls/call-1/cancel")
    counted = {
        (sample.labels["route"], sample.labels["status"])
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "ringback_http_requests_total"
    }
    assert counted == {("/v1/calls", "503"), ("/v1/calls/", "503")}
