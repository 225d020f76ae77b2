"""Rows that another version of the product wrote, and refusals after an outage, over the real table and real HTTP."""

import base64
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.abt_event import AbtEvent
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.messages import CallRequested, decode_call_requested
from tests.loopback import free_ports
from tests.outbox import deliver_outbox

SECRET = "whsec_" + base64.b64encode(b"engage-and-ringback-share-this!!").decode()


class EngageServer:
    """Answers with the statuses it was given, one after the other."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seen = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.seen += 1
        return web.Response(status=self.statuses.pop(0))


@pytest.fixture
async def server() -> AsyncIterator[tuple[EngageServer, str]]:
    engage, port = EngageServer(), free_ports(1)[0]
    app = web.Application()
    app.router.add_post("/abt-events", engage.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield engage, f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_an_event_that_met_four_outages_is_dead_after_five_refusals_and_not_before(
    server: tuple[EngageServer, str], store: PostgresStore, clock: Any, pool: Any
) -> None:
    engage, url = server
    engage.statuses = [503] * 4 + [404] * 5
    http = EngageHttp(url, SECRET, clock)
    relay = OutboxRelay(store, clock, random.Random(5), engage=http)
    async with store.transaction() as unit:
        event = AbtEvent("id-1", "voice_ai_call_started", "call-1", clock.now(), {})
        await unit.outbox.enqueue_event(event, clock.now())
    for refusals in range(9):
        row = await pool.fetchrow("SELECT tries, dead_at FROM outbox")
        assert (row["tries"], row["dead_at"]) == (refusals, None)
        await deliver_outbox(relay)
        clock.advance(3600)
    await http.close()
    row = await pool.fetchrow("SELECT tries, refusals, dead_at, last_error FROM outbox")
    assert (engage.seen, row["tries"], row["refusals"], row["last_error"]) == (9, 9, 5, "http_404")
    assert row["dead_at"] is not None


async def test_a_row_of_an_unknown_kind_is_left_alone(store: PostgresStore, clock: Any, pool: Any, engage: Any) -> None:
    async with store.transaction() as unit:
        await unit.outbox.enqueue("export_file", "file-1", {"file": 1}, None, clock.now())  # type: ignore[arg-type]
    queue = PostgresQueue(pool, "calls")
    relay = OutboxRelay(store, clock, random.Random(5), queue=queue, engage=engage)
    for _ in range(3):
        await deliver_outbox(relay)
        clock.advance(3600)
    row = await pool.fetchrow("SELECT tries, delivered_at, dead_at, last_error FROM outbox")
    assert tuple(row) == (0, None, None, None)
    await queue.close()


async def test_a_call_message_with_a_field_more_leaves(store: PostgresStore, clock: Any, pool: Any) -> None:
    payload = {"call_id": "call-1", "task_id": "task-1", "dispatch": 1, "priority": 9}
    async with store.transaction() as unit:
        await unit.outbox.enqueue("call_message", "task-1:1", payload, None, clock.now())
    queue = PostgresQueue(pool, "calls")
    relay = OutboxRelay(store, clock, random.Random(5), queue=queue)
    await deliver_outbox(relay)
    received = await queue.receive(10, 0, 30)
    assert [decode_call_requested(message.body) for message in received] == [CallRequested("call-1", "task-1", 1)]
    await queue.close()
