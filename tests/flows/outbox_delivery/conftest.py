"""Twins of what the relay speaks to; the store's has real order keys and leases."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from ringback.domain.errors import QueueUnavailable, StoreUnavailable
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.messages import CallRequested, decode_call_requested
from ringback.ports import Delivery, OutgoingMessage
from ringback.storage import OutboxKind, OutboxRow
from tests.outbox import deliver_outbox


@dataclass
class Row:
    row_id: int
    kind: OutboxKind
    message_id: str
    order_key: str | None
    payload: dict[str, Any]
    due_at: datetime
    tries: int = 0
    refusals: int = 0
    delivered_at: datetime | None = None
    dead_at: datetime | None = None
    last_error: str | None = None

    @property
    def open(self) -> bool:
        return self.delivered_at is None and self.dead_at is None


class OutboxTwin:
    """The outbox half of the store: a leased row is due again when its lease is over, and holds its key until then."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.rows: list[Row] = []
        self.delivered_statements: list[list[int]] = []
        self.away = 0
        self.takes = 0

    def add(
        self, kind: OutboxKind, message_id: str, order_key: str | None = None, payload: dict[str, Any] | None = None
    ) -> Row:
        row = Row(len(self.rows) + 1, kind, message_id, order_key, payload or {}, self.clock.now())
        self.rows.append(row)
        return row

    def add_call_message(self, number: int) -> Row:
        payload = {"call_id": f"call-{number}", "task_id": f"task-{number}", "dispatch": 1}
        return self.add("call_message", f"task-{number}:1", payload=payload)

    async def record_all(self, relay: OutboxRelay, passes: int = 2000) -> None:
        """Runs passes, moving the clock to the next due time, until no row is open."""
        for _ in range(passes):
            await deliver_outbox(relay)
            waiting = [row.due_at for row in self.rows if row.open and self._is_first(row)]
            if not waiting:
                return
            self.clock.advance(max((min(waiting) - self.clock.now()).total_seconds(), 0))
        raise AssertionError("rows are still open")

    def _reach(self) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("the database is away")

    def _is_first(self, row: Row) -> bool:
        return row.order_key is None or not any(
            earlier.open and earlier.order_key == row.order_key for earlier in self.rows[: row.row_id - 1]
        )

    async def take_outbox(
        self, kinds: Sequence[OutboxKind], now: datetime, busy_until: datetime, limit: int
    ) -> list[OutboxRow]:
        self._reach()
        self.takes += 1
        taken = [
            row for row in self.rows if row.open and row.kind in kinds and row.due_at <= now and self._is_first(row)
        ][:limit]
        for row in taken:
            row.due_at, row.tries = busy_until, row.tries + 1
        return [
            OutboxRow(row.row_id, row.kind, row.message_id, None, row.payload, now, row.tries, row.refusals)
            for row in taken
        ]

    async def outbox_delivered(self, row_ids: Sequence[int], now: datetime) -> None:
        self._reach()
        self.delivered_statements.append(sorted(row_ids))
        for row_id in row_ids:
            self.rows[row_id - 1].delivered_at = now

    async def outbox_failed(
        self, row_id: int, error: str, due_at: datetime | None, now: datetime, *, refused: bool = False
    ) -> None:
        self._reach()
        row = self.rows[row_id - 1]
        row.refusals += refused
        if row.delivered_at is None:
            row.last_error, row.due_at = error, due_at or row.due_at
            row.dead_at = now if due_at is None else None


@dataclass
class EngageTwin:
    """Answers by message id: the queued answers one after the other, then yes."""

    answers: dict[str, list[Delivery]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    defects: set[str] = field(default_factory=set)

    def fail(self, message_id: str, status: int, times: int) -> None:
        self.answers[message_id] = [Delivery(False, permanent=status < 500, detail=f"http_{status}")] * times

    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        self.seen.append(message_id)
        if message_id in self.hold:
            await self.hold[message_id].wait()
        if message_id in self.defects:
            raise ZeroDivisionError
        answers = self.answers.get(message_id)
        return answers.pop(0) if answers else Delivery(delivered=True)


class QueueTwin:
    """Takes what it is given, but for the listed task ids while they have refusals left."""

    def __init__(self) -> None:
        self.batches: list[list[CallRequested]] = []
        self.refusals: dict[str, int] = {}
        self.away = 0

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        batch = [decode_call_requested(message.body) for message in messages]
        if self.away:
            self.away -= 1
            raise QueueUnavailable("the queue is away")
        self.batches.append(batch)
        refused = [index for index, message in enumerate(batch) if self.refusals.get(message.task_id, 0) > 0]
        for index in refused:
            self.refusals[batch[index].task_id] -= 1
        return refused


@pytest.fixture
def outbox(clock: Any) -> OutboxTwin:
    return OutboxTwin(clock)


@pytest.fixture
def engage() -> EngageTwin:
    return EngageTwin()


@pytest.fixture
def queue() -> QueueTwin:
    return QueueTwin()


@pytest.fixture
def relay(outbox: OutboxTwin, engage: EngageTwin, queue: QueueTwin, clock: Any) -> OutboxRelay:
    return OutboxRelay(outbox, clock, random.Random(7), queue=queue, engage=engage)
