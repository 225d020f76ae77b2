"""Undelivered outbox rows: listed, and sent again under their own ids and in their own order."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from ringback.adapters.postgres.audit import PostgresAudit
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.outbox import PostgresDeadOutbox
from ringback.domain.abt_event import AbtEvent
from ringback.flows.operator.dead_letters import DeadLetters, UnknownSource
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.messages import encode_webhook
from ringback.ports import Delivery, OutgoingMessage
from tests.audit_log import TESTER
from tests.outbox import deliver_outbox


class Engage:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.refuses: set[str] = set()

    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        self.seen.append(message_id)
        return Delivery(message_id not in self.refuses, permanent=True, detail="http_400")


@pytest.fixture
def engage() -> Engage:
    return Engage()


@pytest.fixture
def relay(store, clock, engage) -> OutboxRelay:
    return OutboxRelay(store, clock, random.Random(3), engage=engage)


@pytest.fixture
def letters(pool, clock):
    queues = {name: PostgresQueue(pool, name) for name in ("calls", "events")}
    return DeadLetters.of(PostgresDeadOutbox(pool), queues, PostgresAudit(pool), clock)


async def emit(store, clock, *names):
    async with store.transaction() as tx:
        for name in names:
            call_id, _, sequence = name.partition("/")
            event = AbtEvent(name, "voice_ai_call_started", call_id, clock.now(), {"sequence": int(sequence)})
            await tx.outbox.enqueue_event(event, clock.now())


async def until_dead(relay, clock):
    for _ in range(6):
        await deliver_outbox(relay)
        clock.advance(4000)


async def test_a_dead_row_is_listed_shown_and_delivered_under_its_own_id_by_a_replay(
    letters, store, clock, relay, engage, pool
):
    engage.refuses = {"c/1"}
    await emit(store, clock, "c/1", "c/2")
    await until_dead(relay, clock)
    assert engage.seen == ["c/1"] * 5 + ["c/2"]
    (found,) = await letters.list()
    assert (found.letter.reason, found.name.partition(":")[0]) == ("http_400", "outbox")
    letter = await letters.find(found.name)
    body = json.loads(letter.body)
    assert (body["kind"], body["message_id"], body["tries"]) == ("abt_event", "c/1", 5)
    assert body["payload"]["id"] == "c/1"
    engage.refuses = set()
    assert await letters.replay(found.name, TESTER) == 1
    await pool.execute("UPDATE outbox SET due_at = $1 WHERE delivered_at IS NULL", clock.now())
    await deliver_outbox(relay)
    assert engage.seen[6:] == ["c/1"]
    assert await letters.list() == []
    assert await letters.replay(found.name, TESTER) == 0


async def test_replayed_rows_leave_before_the_younger_ones_of_their_call_that_wait(
    letters, store, clock, relay, engage, pool
):
    engage.refuses = {"c/1", "c/2"}
    await emit(store, clock, "c/1", "c/2")
    for _ in range(2):
        await until_dead(relay, clock)
    assert len(await letters.list()) == 2
    engage.refuses, engage.seen = set(), []
    await emit(store, clock, "c/3")
    assert await letters.replay("outbox", TESTER) == 2
    await pool.execute("UPDATE outbox SET due_at = $1 WHERE delivered_at IS NULL", clock.now())
    await deliver_outbox(relay)
    assert engage.seen == ["c/1", "c/2", "c/3"]


async def test_a_replayed_row_is_retried_as_often_as_a_new_one(letters, store, clock, relay, engage, pool):
    engage.refuses = {"c/1"}
    await emit(store, clock, "c/1")
    await until_dead(relay, clock)
    await letters.replay("outbox", TESTER)
    await pool.execute("UPDATE outbox SET due_at = $1", clock.now())
    await until_dead(relay, clock)
    assert engage.seen == ["c/1"] * 10


async def test_the_three_places_are_told_apart_and_no_other_is_known(letters, pool):
    queue = letters.sources["events"].queue
    await queue.send([OutgoingMessage('{"type": "WebhookReceived", "v": 9}')])
    [message] = await queue.receive(1, 1, 30)
    await queue.dead_letter(message, "Permanent: version 9")
    (found,) = await letters.list()
    assert found.name == f"events:{message.message_id}"
    assert await letters.replay("calls", TESTER) == 0
    assert await letters.replay(found.name, TESTER) == 1
    for name in ("elsewhere", "elsewhere:1", ""):
        with pytest.raises(UnknownSource):
            await letters.replay(name, TESTER)
    assert await letters.find("outbox:x") is None


async def test_a_compressed_webhook_is_shown_readable_and_a_damaged_one_as_it_is(letters):
    queue = letters.sources["events"].queue
    whole = encode_webhook("2026-12-01T17:00:00Z", '{"event":"chat","p":"' + "said " * 20_000 + '"}')
    damaged = whole.replace('"deflated":"e', '"deflated":"f')
    assert whole != damaged
    for message in (whole, damaged):
        await queue.send([OutgoingMessage(message)])
        [received] = await queue.receive(1, 1, 30)
        await queue.dead_letter(received, "Permanent: no event")
    shown = [await letters.find(entry.name) for entry in await letters.list()]
    assert "said said" in shown[0].body
    assert shown[1].body == damaged
    # What is shown is not what is replayed.
    assert await letters.replay("events", TESTER) == 2
    assert {message.body for message in await queue.receive(10, 1, 30)} == {whole, damaged}
