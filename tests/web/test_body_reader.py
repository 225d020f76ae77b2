"""A body is read whole, within its size and its time, and gives way when all of them hold too much."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from ringback.telemetry import make_metrics
from ringback.web.limits import BodyReader
from ringback.web.problems import Problem
from tests.web.raw import refusals

MIB = 1024 * 1024
NOTHING = Headers()


def arriving(*pieces: bytes, ends: bool = True):
    """An ASGI receive of these pieces; without an end it waits after the last one."""
    left = list(pieces)

    async def receive():
        if not left:
            await asyncio.Event().wait()
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left) or not ends}

    return receive


async def never_read():
    raise AssertionError("read")


@pytest.fixture
def bodies():
    return BodyReader(make_metrics(), most_bytes=10, most_unfinished=3)


async def status_of(bodies, receive, headers=NOTHING, max_bytes=100, within_s=5.0) -> int:
    try:
        async with bodies.read(receive, headers, max_bytes, within_s):
            return 200
    except Problem as refused:
        return refused.status


async def test_a_body_is_given_whole(bodies):
    async with bodies.read(arriving(b"a", b"", b"bc"), NOTHING, 3) as body:
        assert body == b"abc"


async def test_a_byte_too_many_is_413_announced_or_not(bodies):
    announced = Headers({"content-length": "4"})
    assert await status_of(bodies, never_read, announced, max_bytes=3) == 413
    assert await status_of(bodies, arriving(b"ab", b"cd", ends=False), max_bytes=3) == 413
    assert await status_of(bodies, arriving(b"ab", b"c"), Headers({"content-length": "3"}), max_bytes=3) == 200


async def test_a_length_that_lies_does_not_help(bodies):
    assert await status_of(bodies, arriving(b"abcd"), Headers({"content-length": "1"}), max_bytes=3) == 413


async def test_a_body_that_does_not_arrive_in_time_is_408(bodies):
    assert await status_of(bodies, arriving(b"a", ends=False), within_s=0.05) == 408


async def test_a_client_that_disconnects_is_reported(bodies):
    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await status_of(bodies, gone)


async def test_the_one_that_has_been_arriving_longest_gives_way():
    metrics = make_metrics()
    bodies = BodyReader(metrics, most_bytes=10)
    oldest = asyncio.create_task(status_of(bodies, arriving(b"x" * 6, ends=False)))
    younger = asyncio.create_task(status_of(bodies, arriving(b"x" * 3, ends=False)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await status_of(bodies, arriving(b"y" * 5)) == 200
    assert await oldest == 503
    assert not younger.done()
    assert refusals(metrics.registry) == {"bodies_too_many": 1}
    younger.cancel()


async def test_a_body_that_is_answered_makes_room(bodies):
    for _ in range(5):
        assert await status_of(bodies, arriving(b"x" * 10)) == 200


async def test_a_newcomer_gives_way_to_those_that_are_being_answered(bodies):
    async with bodies.read(arriving(b"x" * 8), NOTHING, 100) as held:
        assert await status_of(bodies, arriving(b"y" * 8)) == 503
        assert await status_of(bodies, arriving(b"y" * 2)) == 200
        assert held == b"x" * 8


async def test_no_more_are_unfinished_than_are_allowed(bodies):
    slow = [asyncio.create_task(status_of(bodies, arriving(b"", ends=False))) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert [task.done() and task.result() for task in slow] == [503, False, False, False]
    for task in slow:
        task.cancel()


async def test_a_refused_body_and_one_of_a_disconnected_client_hold_no_memory(bodies):
    assert await status_of(bodies, arriving(b"x" * 9, ends=False), within_s=0.01) == 408
    assert await status_of(bodies, arriving(b"x" * 9), max_bytes=5) == 413
    cut_off = asyncio.create_task(status_of(bodies, arriving(b"x" * 9, ends=False)))
    await asyncio.sleep(0.01)
    cut_off.cancel()
    await asyncio.wait([cut_off])
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(bodies.read(arriving(b"xx"), NOTHING, 100))
        assert await status_of(bodies, arriving(b"x")) == 503
    assert await status_of(bodies, arriving(b"x" * 10)) == 200
