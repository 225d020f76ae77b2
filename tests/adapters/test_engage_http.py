"""Engage over HTTP: literal rows in, the requests that a real server received and the deliveries out."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from ringback import tracing
from ringback.adapters.engage_http import EngageHttp
from ringback.ports import Delivery
from tests.adapters.retell.hostile_server import answering, hostile, leaving_behind
from tests.recorded_spans import recorded_spans

SECRET = "whsec_" + base64.b64encode(b"engage-and-ringback-share-this!!").decode()
EVENT = {
    "specversion": "1.0",
    "id": "0d3f0c5e-1111-5222-8333-444455556666",
    "source": "/ringback",
    "type": "voice_ai_call_completed",
    "subject": "call-7",
    "time": "2026-12-01T17:00:00.000Z",
    "datacontenttype": "application/json",
    "data": {"call_id": "call-7", "sequence": 3, "metadata": {"city": "Zürich", "mood": "🙂"}},
}
NOTE = {"contact_id": "crm-42", "note": "Asked for a quote", "author": "agent", "call_id": "call-7"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WallClock:
    """The official verifier reads the machine's clock, so the signer does too."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass
class FakeServer:
    answer: Answer | None = None
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.raw_path, headers, await request.read(), peer))
        return await self.answer(request) if self.answer else web.Response(status=202)

    def always(self, status: int, **headers: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

        self.answer = answer


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def engage(server: FakeServer) -> AsyncIterator[EngageHttp]:
    adapter = EngageHttp(server.url, SECRET, WallClock(), timeout_s=2.0)
    yield adapter
    await adapter.close()


async def test_with_traces_an_event_carries_its_context_beside_the_signed_bytes(server: FakeServer, engage: EngageHttp):
    with recorded_spans() as spans:
        assert (await engage.deliver("abt_event", EVENT["id"], EVENT)).delivered
        assert (await engage.deliver("crm_note", "n-1", NOTE)).delivered
        # An envelope of another version is delivered as it is.
        assert (await engage.deliver("abt_event", "e-2", {"data": None})).delivered
    event, note, another = server.seen
    [span] = spans
    assert event.headers["traceparent"] == span.carried()["traceparent"]
    assert span.facts | {"delivered": True, "answer": "http_202"} == span.facts
    assert (span.new.name, span.new.parent_id) == ("event.deliver", tracing.of_call("call-7").span_id)
    assert Webhook(SECRET).verify(event.body, event.headers) == EVENT
    assert "traceparent" not in note.headers.keys() | another.headers.keys()


async def test_an_event_is_one_signed_post_of_the_whole_envelope(server: FakeServer, engage: EngageHttp) -> None:
    assert await engage.deliver("abt_event", EVENT["id"], EVENT) == Delivery(delivered=True, detail="http_202")
    (request,) = server.seen
    assert (request.method, request.path) == ("POST", "/hooks/abt-events")
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == EVENT["id"]
    assert json.loads(request.body) == EVENT
    assert Webhook(SECRET).verify(request.body, request.headers) == EVENT


async def test_the_signature_covers_exactly_the_bytes_sent(server: FakeServer, engage: EngageHttp) -> None:
    await engage.deliver("abt_event", EVENT["id"], EVENT)
    (request,) = server.seen
    reformatted = json.dumps(json.loads(request.body), indent=1)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(reformatted, request.headers)


async def test_the_same_row_sends_the_same_bytes_and_id_every_time(server: FakeServer, engage: EngageHttp) -> None:
    server.always(503)
    await engage.deliver("abt_event", EVENT["id"], EVENT)
    server.always(200)
    await engage.deliver("abt_event", EVENT["id"], EVENT)
    first, second = server.seen
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_lone_surrogate_in_a_transcript_is_delivered(server: FakeServer, engage: EngageHttp) -> None:
    event = {**EVENT, "data": {"transcript": "half an emoji: \ud83d"}}
    assert (await engage.deliver("abt_event", "id-1", event)).delivered
    (request,) = server.seen
    assert Webhook(SECRET).verify(request.body, request.headers) == event


async def test_fields_are_patched_under_the_row_s_id(server: FakeServer, engage: EngageHttp) -> None:
    payload = {"contact_id": "crm-42", "fields": {"budget": 1200, "company": "Søren & Co"}}
    assert (await engage.deliver("crm_fields", "write-1", payload)).delivered
    (request,) = server.seen
    assert (request.method, request.path) == ("PATCH", "/hooks/contacts/crm-42/fields")
    assert request.headers["idempotency-key"] == "write-1"
    assert json.loads(request.body) == {"fields": {"budget": 1200, "company": "Søren & Co"}}


async def test_a_note_is_posted_under_the_row_s_id(server: FakeServer, engage: EngageHttp) -> None:
    assert (await engage.deliver("crm_note", "note-1", NOTE)).delivered
    (request,) = server.seen
    assert (request.method, request.path) == ("POST", "/hooks/contacts/crm-42/notes")
    assert request.headers["idempotency-key"] == "note-1"
    assert json.loads(request.body) == {"note": "Asked for a quote", "author": "agent", "call_id": "call-7"}


@pytest.mark.parametrize(
    ("contact_id", "segment"),
    [
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("../abt-events", "..%2Fabt-events"),
        ("50% off", "50%25%20off"),
        ("%2e%2e", "%252e%252e"),
        ("Zoë", "Zo%C3%AB"),
    ],
)
async def test_a_contact_id_is_one_segment_of_the_path(
    server: FakeServer, engage: EngageHttp, contact_id: str, segment: str
) -> None:
    await engage.deliver("crm_note", "note-1", {**NOTE, "contact_id": contact_id})
    assert server.seen[0].path == f"/hooks/contacts/{segment}/notes"


@pytest.mark.parametrize(
    ("kind", "message_id", "payload"),
    [
        ("crm_note", "note-1", {**NOTE, "contact_id": ".."}),
        ("crm_note", "note-1", {"contact_id": "crm-42"}),
        ("crm_fields", "write-1\r\nX-Evil: 1", {"contact_id": "crm-42", "fields": {}}),
        ("call_message", "m-1", {}),
    ],
)
async def test_a_malformed_row_is_rejected_unsent(
    server: FakeServer, engage: EngageHttp, kind: str, message_id: str, payload: dict[str, str]
) -> None:
    assert await engage.deliver(kind, message_id, payload) == Delivery(False, permanent=True, detail="malformed")
    assert server.seen == []


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_delivered(server: FakeServer, engage: EngageHttp, status: int) -> None:
    server.always(status)
    assert (await engage.deliver("abt_event", "id-1", EVENT)).delivered


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 499])
async def test_a_4xx_is_permanent(server: FakeServer, engage: EngageHttp, status: int) -> None:
    server.always(status)
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, permanent=True, detail=f"http_{status}")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_temporary_failure_is_not_permanent(server: FakeServer, engage: EngageHttp, status: int) -> None:
    server.always(status)
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail=f"http_{status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(server: FakeServer, engage: EngageHttp, status: int) -> None:
    server.always(status, Location="/elsewhere")
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail=f"http_{status}")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("86400", 3600.0),
        ("9" * 5000, 3600.0),
        ("-5", None),
        ("soon", None),
        ("1.5", 1.5),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3600.0),
        ("Wed, 99 Oct 2099 07:28:00 GMT", None),
    ],
)
async def test_retry_after_is_read_up_to_an_hour(
    server: FakeServer, engage: EngageHttp, header: str, seconds: float | None
) -> None:
    server.always(429, Retry_After=header)
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="http_429", retry_after_s=seconds)


async def test_a_retry_after_date_counts_from_now(server: FakeServer, engage: EngageHttp) -> None:
    server.always(503, Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    delivery = await engage.deliver("abt_event", "id-1", EVENT)
    assert delivery.retry_after_s == pytest.approx(90, abs=3)


async def test_silence_is_a_timeout(server: FakeServer) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    server.answer = silent
    engage = EngageHttp(server.url, SECRET, WallClock(), timeout_s=0.05)
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="timeout")
    await engage.close()


async def test_a_trickled_answer_counts_by_its_status(server: FakeServer) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200, headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(5)
        return response

    server.answer = trickle
    engage = EngageHttp(server.url, SECRET, WallClock(), timeout_s=0.1)
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(True, detail="http_200")
    await engage.close()


async def test_a_reset_is_a_lost_connection(server: FakeServer, engage: EngageHttp) -> None:
    async def reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.answer = reset
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="connection_lost")


async def test_garbage_instead_of_http_is_a_lost_connection() -> None:
    async def garble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    listener = await asyncio.start_server(garble, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    engage = EngageHttp(f"http://127.0.0.1:{port}", SECRET, WallClock())
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="connection_lost")
    await engage.close()
    listener.close()


async def test_an_address_without_a_listener_is_a_failed_connect() -> None:
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    engage = EngageHttp(f"http://127.0.0.1:{port}", SECRET, WallClock())
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="connect")
    await engage.close()


async def test_plain_http_behind_https_is_a_tls_failure(server: FakeServer) -> None:
    engage = EngageHttp(server.url.replace("http:", "https:"), SECRET, WallClock())
    assert await engage.deliver("abt_event", "id-1", EVENT) == Delivery(False, detail="tls")
    await engage.close()


async def test_one_connection_sends_many_rows(server: FakeServer, engage: EngageHttp) -> None:
    async def wordy(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        await asyncio.sleep(0.01)
        await response.write(b'{"ok": true}')
        return response

    server.answer = wordy
    for number in range(5):
        await engage.deliver("abt_event", f"id-{number}", EVENT)
    assert len({request.peer for request in server.seen}) == 1


async def test_the_pool_is_bounded(server: FakeServer) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response()

    server.answer = slow
    engage = EngageHttp(server.url, SECRET, WallClock(), connections=3)
    answers = await asyncio.gather(*(engage.deliver("abt_event", f"id-{n}", EVENT) for n in range(12)))
    assert all(answer.delivered for answer in answers)
    assert len({request.peer for request in server.seen}) <= 3
    await engage.close()


@pytest.mark.parametrize("left", [b"HTTP/1.1 400 Left Over", b"HTTP/1.1 200 Left Over"])
async def test_an_answer_left_on_a_connection_is_not_taken_for_that_to_the_next_event(left: bytes) -> None:
    behave = leaving_behind(answering(202), left + b"\r\ncontent-length: 0\r\n\r\n", 0.02)
    async with hostile(behave) as received:
        adapter = EngageHttp(received.url, SECRET, WallClock(), timeout_s=2.0)
        for _ in range(3):
            assert await adapter.deliver("abt_event", "id-1", EVENT) == Delivery(delivered=True, detail="http_202")
            await asyncio.sleep(0.1)
        await adapter.close()
    assert (received.posts, received.connections) == (3, 3)
