import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ringback.telemetry import make_metrics
from ringback.web.application import create_application
from ringback.web.body_limit import BodyLimit

MIB = 1024 * 1024


async def count(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def client(routes) -> httpx.AsyncClient:
    app = create_application("test", [], routes, make_metrics())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")


async def in_chunks(size: int):
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b"x" * (size % 1024)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/calls", MIB // 4),
        ("/v1/actions/note_writeback", MIB // 4),
        ("/retell/webhook", 6 * MIB),
        ("/v1/retell/inbound", 6 * MIB),
        ("/v1/retell/functions/reschedule_call", 6 * MIB),
    ],
)
async def test_each_door_takes_its_limit_and_not_a_byte_more(path, limit):
    async with client([Route(path, count, methods=["POST"])]) as api:
        assert (await api.post(path, content=b"x" * limit)).text == str(limit)
        assert (await api.post(path, content=b"x" * (limit + 1))).status_code == 413
        assert (await api.post(path, content=in_chunks(limit))).text == str(limit)
        assert (await api.post(path, content=in_chunks(limit + 1))).status_code == 413


async def test_a_length_that_lies_does_not_help():
    """The server refuses such a request before us; a client of another server may still declare less than it sends."""

    async def receive():
        return {"type": "http.request", "body": b"x" * 20, "more_body": False}

    sent = []

    async def send(message):
        sent.append(message)

    limited = BodyLimit(Starlette(routes=[Route("/", count, methods=["POST"])]), {}, default=10)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-length", b"5")],
        "app": None,
    }
    with pytest.raises(Exception) as caught:
        await limited(scope, receive, send)
    assert caught.value.status == 413


async def refused_over_asgi(*headers):
    """The status for two MiB where one is allowed, and how much of it had been read by then."""
    pieces, read, status = [b"x" * MIB] * 2, 0, 0

    async def receive():
        nonlocal read
        piece = pieces.pop()
        read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        nonlocal status
        status = message.get("status", status)

    limited = BodyLimit(Starlette(), {}, default=MIB)
    given = [(b"content-length", str(2 * MIB).encode()), *headers]
    await limited({"type": "http", "method": "POST", "path": "/", "headers": given}, receive, send)
    return status, read


async def test_a_refused_body_is_read_before_the_connection_is_closed():
    """With bytes unread, closing resets the connection, and the client never sees the 413."""
    assert await refused_over_asgi() == (413, 2 * MIB)


async def test_a_body_that_waits_to_be_asked_for_is_not_asked_for():
    assert await refused_over_asgi((b"expect", b"100-continue")) == (413, 0)
