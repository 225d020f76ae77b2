"""Bytes that a server leaves on a connection are not read as the response to the next request."""

import asyncio

import pytest

from ringback.domain.attempt import DialAnswerKind

from .hostile_server import answering, hostile, leaving_behind
from .test_client import ATTEMPT, CALL, LATER, REQUEST, provider

REFUSAL = b"HTTP/1.1 422 Left Over\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize("after_s", [0.0, 0.02])
async def test_a_refusal_left_on_a_connection_is_not_taken_for_the_answer_to_the_next_dial(after_s):
    """The next dial rings. Read as refused, it would be repeated."""
    behave = leaving_behind(answering(201, CALL), REFUSAL, after_s)
    async with hostile(behave) as received, provider(received.url) as retell:
        first = await retell.dial(REQUEST, LATER)
        await asyncio.sleep(0.1)
        second = await retell.dial(REQUEST, LATER)
    assert (first.kind, second.kind, received.posts) == (DialAnswerKind.PLACED, DialAnswerKind.PLACED, 2)


async def test_nothing_left_on_a_connection_is_taken_for_the_answer_to_the_next_look_up():
    """After an empty look-up, an attempt may be given up."""
    page = b'{"items": [], "has_more": false}'
    nothing = b"HTTP/1.1 200 Left Over\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page)
    behave = leaving_behind(answering(200, {"items": [CALL], "has_more": False}), nothing, 0.02)
    async with hostile(behave) as received, provider(received.url) as retell:
        for _ in range(2):
            assert len(await retell.find_attempt(ATTEMPT)) == 1
            await asyncio.sleep(0.1)


async def test_every_request_has_a_connection_of_its_own_and_leaves_none_open():
    async with hostile(answering(201, CALL)) as received, provider(received.url) as retell:
        answers = [await retell.dial(REQUEST, LATER) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (received.connections, received.open) == (3, 0)
    assert [answer.kind for answer in answers] == [DialAnswerKind.PLACED] * 3
