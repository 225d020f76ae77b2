"""An API request is answered in time, or told that it was not."""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from ringback.web.limits import RequestTimeout


async def hang(request):
    await asyncio.sleep(0.2)
    return PlainTextResponse("late")


def client():
    paths = ("/v1/calls", "/v1/retell/functions/x", "/healthz")
    app = RequestTimeout(Starlette(routes=[Route(path, hang) for path in paths]), seconds=0.02)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def test_a_request_that_hangs_is_answered_503_with_a_problem():
    async with client() as http:
        answer = await http.get("/v1/calls")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "unavailable"


async def test_other_endpoints_have_limits_of_their_own():
    async with client() as http:
        answers = [await http.get("/v1/retell/functions/x"), await http.get("/healthz")]
    assert [answer.text for answer in answers] == ["late", "late"]


async def test_an_export_begins_in_time_and_may_go_on():
    async def rows():
        for row in (b"1", b"2", b"3"):
            yield row
            await asyncio.sleep(0.03)

    async def export(request):
        return StreamingResponse(rows())

    routes = [Route("/v1/exports/attempts.csv", export), Route("/v1/exports/late.csv", hang)]
    app = RequestTimeout(Starlette(routes=routes), seconds=0.05)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
        assert (await http.get("/v1/exports/attempts.csv")).text == "123"
        assert (await http.get("/v1/exports/late.csv")).status_code == 503
