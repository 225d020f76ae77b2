"""A client can connect, also while the event loop is busy."""

import asyncio
import socket

from starlette.responses import PlainTextResponse

from ringback.process import run_loop
from ringback.web.server import listen, serve_http

KNOCKS = 64


def test_many_who_knock_at_once_are_let_in_within_a_few_turns_of_the_loop():
    """On uvloop as in production, which takes one connection a turn from each listening descriptor."""
    assert run_loop(turns_until_all_were_heard()) <= KNOCKS // 4


async def turns_until_all_were_heard():
    heard = 0

    async def app(scope, receive, send):
        nonlocal heard
        if scope["type"] == "lifespan":
            await receive()
        else:
            heard += 1
            await PlainTextResponse("come in")(scope, receive, send)

    bound, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    address = bound.getsockname()
    serving = asyncio.create_task(serve_http(app, bound, stop, ready))
    await ready.wait()
    knocking = [socket.create_connection(address) for _ in range(KNOCKS)]  # the kernel's queue takes them
    for wire in knocking:
        wire.sendall(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    turns = 0
    while heard < KNOCKS:
        turns += 1
        await asyncio.sleep(0)
    for wire in knocking:
        wire.close()
    stop.set()
    await serving
    return turns
