"""A connection that sends no request, or never ends one, is closed, and keeps no other client out."""

import asyncio
import time

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ringback.web import connections
from ringback.web import server as server_module
from tests.web.raw import Told, served, until_closed

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
ALIVE = GET + b"connection: close\r\n\r\n"
#: Of a body that is declared and does not come.
OVERSIZE = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n"


async def app(scope, receive, send):
    """Answers /early before it has seen the body, /large at length, everything else with the size of the body."""
    if scope["type"] == "lifespan":
        await receive()
        return
    request = Request(scope, receive)
    if request.url.path == "/large":
        await Response(b"x" * 30_000_000)(scope, receive, send)
        return
    if request.url.path == "/early":
        await Response(status_code=401)(scope, receive, send)
        return
    await PlainTextResponse(str(len(await request.body())))(scope, receive, send)


@pytest.fixture
async def server():
    async with served(app) as raw:
        yield raw


async def is_alive(server) -> bool:
    return (await server.ask(ALIVE)).status == 200


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x: " + b"y" * 40_000 + b"\r\n\r\n",
        GET + b"".join(b"x-%d: y\r\n" % number for number in range(101)) + b"\r\n",
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\n\r\n",
        GET + b"x: " + b"y" * 40_000,  # and no end
    ],
    ids=["one long", "many", "a long address", "without an end"],
)
async def test_a_head_over_the_limits_is_answered_431_and_the_connection_closed(server, head):
    told = await server.ask(head)
    assert (told.status, told.problem["code"]) == (431, "head_too_large")
    assert b"connection: close" in told.head
    assert server.refused() == {"head_too_large": 1}


async def test_a_head_within_the_limits_is_taken(server):
    told = await server.ask(GET + b"x: " + b"y" * 30_000 + b"\r\n" + b"connection: close\r\n\r\n")
    assert told.status == 200


async def test_a_head_of_62_mebibytes_is_refused_at_its_beginning(server):
    reader, writer = await server.open()
    answer = asyncio.create_task(until_closed(reader))
    writer.write(GET + b"x: ")
    sent = 0
    for _ in range(62):
        if answer.done():
            break
        writer.write(b"y" * 1024 * 1024)
        try:
            await writer.drain()
        except ConnectionError:
            break
        sent += 1
    assert (await answer).status == 431
    assert sent < 40  # what is thrown away while the answer is read, and what the kernel holds
    writer.close()


@pytest.mark.parametrize("more", [b"x-late: ", b"x-%d: y\r\n" * 50])
async def test_what_follows_a_body_counts_as_head(server, more):
    """Trailers are kept like headers."""
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n"
    told = await server.ask(chunked, *[more * 2000] * 20)
    assert told.status == 431


async def test_a_head_that_does_not_end_is_answered_408(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.3)
    began = time.monotonic()
    told = await server.ask(GET)
    assert (told.status, told.problem["code"]) == (408, "head_too_slow")
    assert 0.3 <= time.monotonic() - began < 5


async def test_a_head_that_drips_is_answered_408(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.3)
    reader, writer = await server.open()
    answer = asyncio.create_task(until_closed(reader))
    writer.write(GET + b"x: ")
    dripped = 0
    while not answer.done() and dripped < 300:
        writer.write(b"y")
        dripped += 1
        await asyncio.sleep(0.02)
    assert ((await answer).status, dripped < 300) == (408, True)
    writer.close()


async def test_a_head_that_drips_on_a_connection_that_was_used_is_answered_408(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.3)
    told = await server.ask(GET + b"\r\n", *[bytes([byte]) for byte in GET], pause_s=0.02)
    assert told.text.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 408" in told.text


async def test_a_slow_head_within_the_time_is_served(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 5.0)
    told = await server.ask(*[ALIVE[at : at + 8] for at in range(0, len(ALIVE), 8)], pause_s=0.05)
    assert told.status == 200


async def test_a_connection_without_a_request_is_closed_without_a_word(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.3)
    assert await server.ask() == Told(b"")
    assert server.refused() == {"head_too_slow": 1}


async def test_an_answer_before_the_body_closes_the_connection_and_is_read(server):
    told = await server.ask(OVERSIZE, b"y" * 3_000_000)
    assert (told.status, b"connection: close" in told.head) == (401, True)


async def test_an_answer_after_the_body_leaves_the_connection_open(server):
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab"
    told = await server.ask(request, request, ALIVE)
    assert told.text.count(b"HTTP/1.1 200") == 3


async def test_a_body_that_goes_on_after_the_answer_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(connections, "LINGER_WITHIN_S", 0.3)
    reader, writer = await server.open()
    writer.write(OVERSIZE)
    assert (await until_closed(reader)).status == 401
    began = time.monotonic()
    while not writer.transport.is_closing() and time.monotonic() - began < 5:
        writer.write(b"y")
        await asyncio.sleep(0.02)
    assert time.monotonic() - began < 5
    writer.close()


async def test_no_more_connections_linger_than_are_counted(server, monkeypatch):
    monkeypatch.setattr(connections, "MOST_LINGERING", 3)
    monkeypatch.setattr(connections, "LINGER_WITHIN_S", 60.0)
    opened = [await server.open() for _ in range(10)]
    for _, writer in opened:
        writer.write(OVERSIZE)
    assert [(await until_closed(reader)).status for reader, _ in opened] == [401] * 10
    await asyncio.sleep(0.1)
    for _, writer in opened:
        writer.write(b"y")
    await asyncio.sleep(0.1)
    for _, writer in opened:
        writer.write(b"y")
    await asyncio.sleep(0.1)
    assert sum(not writer.transport.is_closing() for _, writer in opened) == 3
    for _, writer in opened:
        writer.close()


async def test_idle_connections_give_way_to_new_ones(monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    async with served(app) as server:
        idle = [await server.open() for _ in range(60)]
        assert [await is_alive(server) for _ in range(5)] == [True] * 5
        assert sum(server.refused().values()) >= 40
        for _, writer in idle:
            writer.close()


async def test_a_connection_serves_the_next_request_until_it_was_idle_too_long(monkeypatch):
    monkeypatch.setattr(server_module, "IDLE_WITHIN_S", 1.0)
    async with served(app) as server:
        reader, writer = await server.open()
        for _ in range(2):
            writer.write(GET + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(1) == b"0"
            await asyncio.sleep(0.3)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_connection_with_an_open_request_is_not_closed(monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    async with served(app) as server:
        reader, writer = await server.open()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\na")
        await asyncio.sleep(0.1)
        idle = [await server.open() for _ in range(20)]
        await asyncio.sleep(0.1)
        writer.write(b"b")
        assert (await until_closed(reader)).status == 200
        for _, other in [(reader, writer), *idle]:
            other.close()


async def test_what_is_no_http_is_answered_400_as_a_problem(server):
    told = await server.ask(b"\x16\x03\x01 no http at all\r\n\r\n")
    assert (told.status, told.problem["code"]) == (400, "no_http")


async def test_a_request_to_speak_another_protocol_is_answered_as_any_other(server):
    upgrade = b"connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    assert (await server.ask(GET + upgrade + b"sec-websocket-key: x\r\n\r\n")).status == 200


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_a_client_that_does_not_read_its_answer_is_cut_off(server, monkeypatch, connection):
    monkeypatch.setattr(connections, "TAKEN_WITHIN_S", 0.3)
    reader, writer = await server.open()
    writer.transport.pause_reading()
    writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: %s\r\n\r\n" % connection.encode())
    await asyncio.sleep(1.0)
    writer.transport.resume_reading()
    told = await until_closed(reader)
    assert 0 < len(told.text) < 30_000_000
    writer.close()
