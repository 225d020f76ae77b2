"""The webhook receiver: a real server on loopback, real HTTP."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from multidict import CIMultiDict

from ringback import batching, tracing
from ringback.adapters.retell.signature import sign
from ringback.batching import send_through
from ringback.domain.errors import QueueUnavailable
from ringback.flows.webhook_intake import read_webhook
from ringback.messages import MAX_BODY_BYTES, decode_webhook_received, encode
from ringback.services import webhook_receiver
from ringback.services.webhook_lambda import webhook_ports
from ringback.services.webhook_receiver import create_receiver
from ringback.telemetry import make_metrics
from ringback.tracing import AttemptIds
from ringback.web.limits import BodyReader
from ringback.web.server import serve_http
from ringback.wiring import quoted
from tests.previous_messages import decode_webhook_received as previous_decode_webhook_received
from tests.recorded_spans import recorded_spans
from tests.web.raw import served

KEY = "key_webhook"
NOW_MS = 1_760_000_000_000
BODY = '{"event":"call_ended","call":{"call_id":"call_ü"}}'.encode()


def recording_send(sent):
    """Return a send that is always durable and records its messages."""

    async def send(message):
        sent.append(message.body)

    return send


@asynccontextmanager
async def serving(send):
    """Serve a receiver over this `send`. Yields a function that posts a signed body and returns status and text."""
    listening, stop, ready = socket.create_server(("127.0.0.1", 0)), asyncio.Event(), asyncio.Event()
    app = create_receiver(webhook_ports([KEY]), lambda: NOW_MS, send, make_metrics())
    running = asyncio.create_task(serve_http(app, listening, stop, ready))
    await ready.wait()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/retell/webhook"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(body, only=None, **headers):
            signed = {"x-retell-signature": sign(body if isinstance(body, bytes) else b"", KEY, NOW_MS), **headers}
            async with session.post(url, data=body, headers=only or signed) as answer:
                return answer.status, await answer.text()

        yield post
    stop.set()
    await running


async def test_the_body_reaches_the_queue_byte_for_byte():
    sent = []
    async with serving(recording_send(sent)) as post:
        assert await post(BODY) == (204, "")
        assert (await post(BODY, **{"x-retell-signature": "v=1,d=0"}))[0] == 401
        assert (await post(b"\xff\xfe"))[0] == 400
        assert (await post(b""))[0] == 400
    assert [decode_webhook_received(message).body for message in sent] == [BODY.decode()]


async def test_two_signatures_are_no_signature_whichever_comes_first():
    """API Gateway joins them too."""
    sent = []
    good, wrong = sign(BODY, KEY, NOW_MS), sign(BODY, "key_of_nobody", NOW_MS)
    async with serving(recording_send(sent)) as post:
        for pair in ((good, wrong), (wrong, good)):
            headers = CIMultiDict(("x-retell-signature", signature) for signature in pair)
            assert (await post(BODY, headers))[0] == 401
    assert sent == []


async def test_a_body_over_six_mebibytes_is_answered_413_announced_or_not():
    sent = []

    async def chunks():
        for _ in range(7):
            yield b"x" * (1024 * 1024)

    async with serving(recording_send(sent)) as post:
        assert (await post(b"x" * (MAX_BODY_BYTES + 1)))[0] == 413
        assert (await post(chunks()))[0] == 413
    assert sent == []


async def test_a_large_genuine_body_is_accepted():
    sent = []
    body = b'{"event":"call_ended","call":{"call_id":"call_1"},"p":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}'
    async with serving(recording_send(sent)) as post:
        assert (await post(body))[0] == 204
    assert decode_webhook_received(sent[0]).body == body.decode()


@pytest.mark.parametrize(
    "signature", [None, "v=1,d=0", f"v={NOW_MS - 300_001},d={'0' * 64}", f"v={NOW_MS + 300_001},d={'0' * 64}"]
)
async def test_what_cannot_be_genuine_is_answered_401_before_its_body(signature):
    """Only the head is sent: the announced six MiB never arrive."""
    app = create_receiver(webhook_ports([KEY]), lambda: NOW_MS, recording_send([]), make_metrics())
    header = f"x-retell-signature: {signature}\r\n" if signature else ""
    async with served(app) as server:
        told = await server.ask(f"POST /retell/webhook HTTP/1.1\r\n{header}content-length: 6000000\r\n\r\n".encode())
    assert (told.status, told.problem["code"], b"connection: close" in told.head) == (401, "forged", True)


async def test_with_traces_the_message_of_a_webhook_continues_the_context_in_its_metadata():
    attempt = AttemptIds("01a2328c-8680-7000-8000-000003000003", 1)
    sent = []

    async def send(message):
        sent.append(message)

    with recorded_spans() as spans:
        marks = tracing.marks_of("call-1", attempt)
        body = json.dumps({"event": "call_ended", "call": {"call_id": "call_7", "metadata": marks}}).encode()
        async with serving(send) as post:
            assert (await post(body))[0] == 204
            assert (await post(BODY))[0] == 204
    [span] = spans
    assert [message.attributes for message in sent] == [span.carried(), {}]
    assert (span.new.name, span.new.parent_id) == ("webhook.receive", tracing.of_attempt("call-1", attempt).span_id)
    # A processor of the version before sees the message that it knows.
    assert previous_decode_webhook_received(sent[0].body).body == body.decode()


async def test_the_answers_of_a_receiver_are_counted_by_route_and_status():
    metrics, sent = make_metrics(), []
    app = create_receiver(webhook_ports([KEY]), lambda: NOW_MS, recording_send(sent), metrics)
    async with served(app) as server:
        await server.ask(b"POST /retell/webhook HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
        await server.ask(b"GET /+14155550100 HTTP/1.1\r\nconnection: close\r\n\r\n")
    counted = [
        (sample.labels["route"], sample.labels["status"])
        for family in metrics.http_requests.collect()
        for sample in family.samples
    ]
    assert counted == [("/retell/webhook", "401"), ("unmatched", "404")]


async def test_a_webhook_that_does_not_arrive_whole_is_answered_408(monkeypatch):
    monkeypatch.setattr(BodyReader.read.__wrapped__, "__defaults__", (0.3,))
    sent = []
    app = create_receiver(webhook_ports([KEY]), lambda: NOW_MS, recording_send(sent), make_metrics())
    head = (
        f"POST /retell/webhook HTTP/1.1\r\nx-retell-signature: {sign(BODY, KEY, NOW_MS)}\r\ncontent-length: 99\r\n\r\n"
    )
    async with served(app) as server:
        told = await server.ask(head.encode() + BODY[:20])
    assert (told.status, sent) == (408, [])


async def test_an_internal_error_is_a_5xx_and_never_a_success():
    async def send(message):
        raise RuntimeError("a bug")

    async with serving(send) as post:
        assert (await post(BODY))[0] == 500


async def test_an_enqueue_that_hangs_is_answered_503_in_time(monkeypatch):
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 0.3)
    async with serving(send_through(OneQueue(hangs=True))) as post:
        started = time.monotonic()
        statuses = [status for status, _ in await asyncio.gather(*(post(BODY) for _ in range(8)))]
        took_s = time.monotonic() - started
    assert statuses == [503] * 8
    assert took_s < 3


async def test_a_webhook_without_a_free_slot_is_answered_503_at_once(monkeypatch):
    monkeypatch.setattr(webhook_receiver, "WEBHOOKS_AT_ONCE", 3)
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 60)
    queue_recovered = asyncio.Event()

    async def send(message):
        await queue_recovered.wait()

    async with serving(send) as post:
        posted = [asyncio.create_task(post(BODY)) for _ in range(8)]
        # The queue is unavailable until these have a response, so they did not wait for it.
        soonest = asyncio.as_completed(posted)
        refused = [await next(soonest) for _ in range(5)]
        queue_recovered.set()
        statuses = [status for status, _ in await asyncio.gather(*posted)]
    assert [status for status, _ in refused] == [503] * 5
    assert sorted(statuses) == [204] * 3 + [503] * 5


async def test_a_thousand_webhooks_at_once_wait_for_a_slow_queue_instead_of_being_sent_away(monkeypatch):
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 60)
    queue = OneQueue(takes_s=0.02)
    async with serving(send_through(queue)) as post:
        answers = await asyncio.gather(*(post(BODY) for _ in range(1_000)))
    assert {status for status, _ in answers} == {204}
    assert len(queue.bodies) == 1_000
    assert queue.sends <= 100  # together, not one by one


async def test_a_webhook_that_was_refused_while_it_waited_is_not_sent_afterwards(monkeypatch):
    """Retell sends it again, so a late send would only add load to an unavailable queue."""
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr(batching, "SENT_TOGETHER", 1)
    queue = OneQueue(hangs_until=asyncio.Event())
    async with serving(send_through(queue)) as post:
        statuses = [status for status, _ in await asyncio.gather(*(post(BODY) for _ in range(8)))]
        queue.hangs_until.set()
        await asyncio.sleep(0.1)
    assert statuses == [503] * 8
    assert len(queue.bodies) == 2  # the two sends that were in progress


class OneQueue:
    """A queue on the event loop, like the embedded one."""

    def __init__(self, *, refuses=False, hangs=False, error=None, hangs_until=None, takes_s=0.0):
        self.refuses, self.hangs, self.error, self.hangs_until = refuses, hangs, error, hangs_until
        self.takes_s = takes_s
        self.bodies, self.sends = [], 0

    async def send(self, messages):
        if self.hangs:
            await asyncio.sleep(60)
        self.sends += 1
        await asyncio.sleep(self.takes_s)
        if self.hangs_until:
            await self.hangs_until.wait()
        if self.error:
            raise self.error
        if self.refuses:
            return list(range(len(messages)))
        self.bodies += [message.body for message in messages]
        return []


async def test_webhooks_that_come_together_are_sent_together():
    queue = OneQueue()
    async with serving(send_through(queue)) as post:
        assert await asyncio.gather(*(post(BODY) for _ in range(30))) == [(204, "")] * 30
    assert [decode_webhook_received(body).body for body in queue.bodies] == [BODY.decode()] * 30


@pytest.mark.parametrize(
    "queue", [OneQueue(refuses=True), OneQueue(hangs=True), OneQueue(error=QueueUnavailable("unavailable"))]
)
async def test_a_queue_that_does_not_take_the_webhook_is_answered_503(queue, monkeypatch):
    monkeypatch.setattr(webhook_receiver, "ANSWER_WITHIN_S", 0.1)
    async with serving(send_through(queue)) as post:
        assert (await post(BODY))[0] == 503


@pytest.mark.parametrize(
    "body", ['{"a":"\\n\\u0000"}', '{\n\t"a": "\\"\x7f/<>"}', '{"a":"né \N{GRINNING FACE} \ufffe"}', "{}"]
)
def test_the_message_is_ascii_and_the_one_that_the_lambda_would_send(body):
    fast, of_the_lambda = (
        read_webhook(body.encode(), sign(body.encode(), KEY, NOW_MS), NOW_MS, webhook_ports([KEY], *quotes)).message
        for quotes in ([quoted], [])
    )
    assert json.loads(fast) == json.loads(of_the_lambda)
    assert fast.isascii() and of_the_lambda == encode(decode_webhook_received(fast))
