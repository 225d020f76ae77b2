"""The same handler behind ASGI: a real server on loopback, real HTTP."""

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvicorn
from multidict import CIMultiDict

from ringback.adapters.retell.signature import sign
from ringback.domain.errors import QueueUnavailable
from ringback.flows.webhook_intake import MAX_BODY_BYTES
from ringback.messages import decode_webhook_received
from ringback.services import webhook_receiver
from ringback.services.webhook_lambda import make_handler
from ringback.services.webhook_receiver import create_receiver, send_through

KEY = "key_webhook"
NOW_MS = 1_760_000_000_000
BODY = '{"event":"call_ended","call":{"call_id":"call_ü"}}'.encode()


@asynccontextmanager
async def serving(send):
    """A receiver over this `send`; yields a function that posts a signed body and gives the status."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_receiver(make_handler(send, [KEY], lambda: NOW_MS))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/retell/webhook"
    async with aiohttp.ClientSession() as session:

        async def post(body, only=None, **headers):
            signed = {"x-retell-signature": sign(body if isinstance(body, bytes) else b"", KEY, NOW_MS), **headers}
            async with session.post(url, data=body, headers=only or signed) as answer:
                return answer.status, await answer.text()

        yield post
    server.should_exit = True
    await running


async def test_the_request_reaches_the_handler_byte_for_byte():
    sent = []
    async with serving(sent.append) as post:
        assert await post(BODY) == (204, "")
        assert (await post(BODY, **{"x-retell-signature": "v=1,d=0"}))[0] == 401
        assert (await post(b"\xff\xfe"))[0] == 400
        assert (await post(b""))[0] == 400
    assert [decode_webhook_received(message).body for message in sent] == [BODY.decode()]


async def test_two_signatures_are_no_signature_whichever_comes_first():
    """As API Gateway hands them over, joined."""
    sent = []
    good, wrong = sign(BODY, KEY, NOW_MS), sign(BODY, "key_of_nobody", NOW_MS)
    async with serving(sent.append) as post:
        for pair in ((good, wrong), (wrong, good)):
            headers = CIMultiDict(("x-retell-signature", signature) for signature in pair)
            assert (await post(BODY, headers))[0] == 401
    assert sent == []


async def test_a_body_over_six_mebibytes_is_answered_413_announced_or_not():
    sent = []

    async def chunks():
        for _ in range(7):
            yield b"x" * (1024 * 1024)

    async with serving(sent.append) as post:
        assert (await post(b"x" * (MAX_BODY_BYTES + 1)))[0] == 413
        assert (await post(chunks()))[0] == 413
    assert sent == []


async def test_a_large_genuine_body_is_taken():
    sent = []
    body = b'{"event":"call_ended","call":{"call_id":"call_1"},"p":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}'
    async with serving(sent.append) as post:
        assert (await post(body))[0] == 204
    assert decode_webhook_received(sent[0]).provider_call_id == "call_1"


async def test_an_error_of_ours_is_a_5xx_and_never_a_success():
    def send(message):
        raise RuntimeError("a bug")

    async with serving(send) as post:
        assert (await post(BODY))[0] == 500


async def test_more_hanging_enqueues_than_threads_are_all_answered_in_time(monkeypatch):
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr(webhook_receiver, "THREADS", 2)
    queue_is_back = threading.Event()
    async with serving(lambda message: queue_is_back.wait(5)) as post:
        started = time.monotonic()
        statuses = [status for status, _ in await asyncio.gather(*(post(BODY) for _ in range(8)))]
        took_s = time.monotonic() - started
        queue_is_back.set()
    assert statuses == [503] * 8
    assert took_s < 4  # far from the 5 s that an enqueue hangs


async def test_a_webhook_behind_too_many_others_is_told_so_at_once(monkeypatch):
    monkeypatch.setattr(webhook_receiver, "THREADS", 1)
    monkeypatch.setattr(webhook_receiver, "WAITING", 2)
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 60)
    queue_is_back = threading.Event()
    async with serving(lambda message: queue_is_back.wait(60)) as post:
        posted = [asyncio.create_task(post(BODY)) for _ in range(8)]
        # The queue is away until these were answered, so they did not wait for it.
        soonest = asyncio.as_completed(posted)
        refused = [await next(soonest) for _ in range(5)]
        queue_is_back.set()
        statuses = [status for status, _ in await asyncio.gather(*posted)]
    assert [status for status, _ in refused] == [503] * 5
    assert sorted(statuses) == [204] * 3 + [503] * 5


class OneQueue:
    """A queue on an event loop, as the embedded one is."""

    def __init__(self, *, refuses=False, hangs=False, error=None):
        self.refuses, self.hangs, self.error = refuses, hangs, error
        self.bodies = []

    async def send(self, messages):
        if self.hangs:
            await asyncio.sleep(60)
        if self.error:
            raise self.error
        if self.refuses:
            return list(range(len(messages)))
        self.bodies += [message.body for message in messages]
        return []


async def test_a_queue_on_the_event_loop_is_reached_from_the_handlers_threads():
    queue = OneQueue()
    async with serving(send_through(queue, asyncio.get_running_loop())) as post:
        assert [await post(BODY) for _ in range(3)] == [(204, "")] * 3
    assert [decode_webhook_received(body).body for body in queue.bodies] == [BODY.decode()] * 3


@pytest.mark.parametrize(
    "queue", [OneQueue(refuses=True), OneQueue(hangs=True), OneQueue(error=QueueUnavailable("away"))]
)
async def test_a_queue_that_does_not_take_the_webhook_is_answered_503(queue):
    async with serving(send_through(queue, asyncio.get_running_loop(), timeout_s=0.1)) as post:
        assert (await post(BODY))[0] == 503
