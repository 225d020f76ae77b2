"""The systems' API by its head first: without a key nothing of a body is read, waited for, or counted."""

import asyncio
import time

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ringback.domain.access import KnownKey, Role
from ringback.domain.errors import StoreUnavailable
from ringback.telemetry import make_metrics
from ringback.web import limits
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from tests.web.raw import served, until_closed

KEY = "rbk_good"
KNOWN = KnownKey("test", Role.ADMIN)
KIB = 1024


def head(path="/v1/calls", *, key=KEY, length=None, more="", close=True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", *(["connection: close"] if close else [])]
    lines += [f"authorization: Bearer {key}"] if key else []
    lines += [f"content-length: {length}"] if length is not None else []
    return "\r\n".join([*lines, *more.split(), "", ""]).encode()


async def count(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def server():
    async def find_key(key_hash: str) -> KnownKey | None:
        return KNOWN if key_hash == hash_key(KEY) else None

    metrics = make_metrics()
    routes = [Route(path, count, methods=["POST"]) for path in ("/v1/calls", "/v1/suppressions", "/v1/slow")]
    keys = ApiKeys(find_key, time.monotonic)
    app = create_application("test", [], routes, metrics, authenticate=keys.require)
    async with served(app, metrics) as raw:
        yield raw


@pytest.mark.parametrize("length", [5, 200 * KIB, 99_999_999])
async def test_without_a_key_the_answer_does_not_wait_for_the_body(server, length):
    began = time.monotonic()
    told = await server.ask(head(key=None, length=length))
    assert (told.status, told.problem["code"]) == (401, "unauthorized")
    assert time.monotonic() - began < 1 + 2.5  # what is left of the connection lingers for two seconds


async def test_without_a_key_a_body_that_is_announced_is_not_asked_for(server):
    told = await server.ask(head(key=None, length=200_000, more="expect:100-continue"))
    assert (told.status, b"100 continue" in told.text.lower()) == (401, False)


async def test_a_body_over_256_kib_is_413_before_it_is_here(server):
    assert (await server.ask(head(length=256 * KIB + 1))).status == 413
    assert (await server.ask(head(length=256 * KIB + 1), b"x" * (256 * KIB + 1))).status == 413
    assert (await server.ask(head(length=256 * KIB), b"x" * 256 * KIB)).text.endswith(b"262144")


async def test_a_slow_body_within_the_time_is_taken(server):
    pieces = [b"x" * 10] * 10
    assert (await server.ask(head(length=100), *pieces, pause_s=0.05)).text.endswith(b"\r\n\r\n100")


async def test_a_body_that_does_not_end_in_time_is_408(server, monkeypatch):
    monkeypatch.setattr(limits.BodyReader.read.__wrapped__, "__defaults__", (0.3,))
    told = await server.ask(head(length=100), b"x")
    assert (told.status, told.problem["code"], b"connection: close" in told.head) == (408, "body_too_slow", True)
    assert server.refused() == {"body_too_slow": 1}


@pytest.mark.parametrize("key", [None, KEY])
async def test_two_hundred_unfinished_requests_keep_no_client_out(monkeypatch, key):
    """With a key or without: a request takes a place once it is here whole."""
    monkeypatch.setattr(limits.LoadShedding.__init__, "__defaults__", (1, 1))

    async def find_key(key_hash: str) -> KnownKey | None:
        return KNOWN if key_hash == hash_key(KEY) else None

    app = create_application(
        "test",
        [],
        [Route("/v1/calls", count, methods=["POST"])],
        make_metrics(),
        authenticate=ApiKeys(find_key, time.monotonic).require,
    )
    async with served(app) as server:
        idle = [await server.open() for _ in range(200)]
        for _, writer in idle:
            writer.write(head(key=key, length=200_000, close=False))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert [(await server.ask(head(length=3), b"abc")).status for _ in range(5)] == [200] * 5
        assert time.monotonic() - began < 2
        for _, writer in idle:
            writer.close()


async def test_a_key_that_cannot_be_checked_is_503_without_waiting_for_the_body():
    async def away(key_hash: str) -> bool:
        raise StoreUnavailable("away")

    app = create_application("test", [], [], make_metrics(), authenticate=ApiKeys(away, time.monotonic).require)
    async with served(app) as server:
        told = await server.ask(head(length=99_999))
    assert (told.status, told.problem["code"]) == (503, "unavailable")


async def test_a_flood_of_wrong_keys_asks_the_database_twice_at_once_and_delays_no_known_key():
    asked, most, free = 0, 0, asyncio.Event()
    now = 0.0

    async def look_up(key_hash: str) -> KnownKey | None:
        nonlocal asked, most
        if key_hash == hash_key(KEY):
            return KNOWN
        asked += 1
        most = max(most, asked)
        try:
            await free.wait()
        finally:
            asked -= 1
        return None

    keys = ApiKeys(look_up, lambda: now, remember_s=30)
    request = Request({"type": "http", "headers": [(b"x-api-key", KEY.encode())]})
    await keys.require(request)
    wrong = [Request({"type": "http", "headers": [(b"x-api-key", b"rbk_%d" % n)]}) for n in range(500)]
    flood = [asyncio.create_task(keys.require(one)) for one in wrong]
    await asyncio.sleep(0.01)
    now = 60.0  # what was remembered is asked for again, in a place of its own
    await asyncio.wait_for(keys.require(request), 1)
    free.set()
    refused = await asyncio.gather(*flood, return_exceptions=True)
    assert most == 2
    assert {getattr(one, "status", one) for one in refused} == {401, 503}


async def test_a_client_that_leaves_its_body_unfinished_is_no_error_of_ours(server, caplog):
    reader, writer = await server.open()
    writer.write(head(length=100) + b"x")
    await asyncio.sleep(0.1)
    writer.close()
    await until_closed(reader)
    assert (await server.ask(head(length=1), b"x")).status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
