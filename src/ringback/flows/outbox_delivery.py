"""Deliver the rows of the outbox: each to its receiver, in order within its key, until it is delivered or dead."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from ringback.domain.deliveries import ENGAGE_KINDS
from ringback.domain.errors import QueueUnavailable, Retryable
from ringback.failpoints import Failpoint, reach
from ringback.loops import Availability, Loops, location
from ringback.messages import CallRequested, encode
from ringback.ports import Clock, Delivery, Engage, MessageQueue, OutgoingMessage
from ringback.storage import OutboxKind, OutboxRow, OutboxRows
from ringback.tracing import attributes_of

StopCall = Callable[[str], Awaitable[None]]

DELIVERED = Delivery(delivered=True)
# Another version of this program wrote the row. The other rows of its batch are sent all the same.
MALFORMED = Delivery(delivered=False, permanent=True, detail="malformed")

#: The kinds of rows of each channel.
CHANNEL_KINDS: dict[str, tuple[OutboxKind, ...]] = {
    "queue": ("call_message",),
    "engage": ENGAGE_KINDS,
    "stop": ("stop_call",),
}
#: Failures without a response of Engage, or with one of a proxy in front of it. They concern every delivery. While they
#: last one row is sent at a time, with growing pauses: thousands that fail would use up their tries and slow dialing.
_ENGAGE_IS_LOST = frozenset({"timeout", "tls", "connect", "connection_lost", "http_502", "http_503", "http_504"})

#: A row with a permanent refusal is sent this often.
REFUSED_TRIES = 5


@dataclass(frozen=True, slots=True)
class RetryPace:
    """Waits of 1 s, 2 s, 4 s … up to `cap_s`, each drawn evenly from zero to that; dead after `tries` (None: never).

    Tries count, not the age of the row. A row may have waited for days after another, or until Engage was configured,
    and still gets all its tries.
    """

    cap_s: float
    tries: int | None

    def wait_s(self, delivery: Delivery, tries: int, rng: random.Random, refusals: int = 0) -> float | None:
        """Seconds until the next try after `tries` failed ones, `refusals` of them permanent. None: no more tries.

        The random part is added to the receiver's Retry-After. Rows that were refused together do not return together.
        """
        if delivery.permanent and refusals >= REFUSED_TRIES:
            return None
        if self.tries is not None and tries >= self.tries:
            return None
        ceiling_s = min(self.cap_s, 2.0 ** min(tries - 1, 30))
        return (delivery.retry_after_s or 0.0) + rng.uniform(0.0, ceiling_s)


# An accepted call is published however long the queue is unavailable.
QUEUE_RETRY = RetryPace(cap_s=30, tries=None)
# The first 12 waits last 34 minutes on average, each later one half an hour: 60 tries are about a day.
ENGAGE_RETRY = RetryPace(cap_s=3600, tries=60)
# A person is on the phone, so waits are short. 480 tries of 15 s on average are two hours, longer than any call.
STOP_RETRY = RetryPace(cap_s=30, tries=480)


@dataclass(frozen=True, slots=True)
class Channel:
    """Kinds of rows with one receiver. Channels do not wait for each other: a slow Engage must not slow dialing.

    At most `max_in_flight` rows are sent at once, in batches of `batch_size`. `send` returns the result of each row.
    """

    name: str
    kinds: tuple[OutboxKind, ...]
    send: Callable[[Sequence[OutboxRow]], Awaitable[list[Delivery]]]
    retry: RetryPace
    max_in_flight: int
    batch_size: int = 1


def queue_channel(queue: MessageQueue) -> Channel:
    """Call messages, in the queue's batches of ten."""

    async def send(rows: Sequence[OutboxRow]) -> list[Delivery]:
        outcomes = [MALFORMED] * len(rows)
        messages = {position: message for position, row in enumerate(rows) if (message := _call_message(row))}
        if not messages:
            return outcomes
        try:
            refused = await queue.send(list(messages.values()))
            reach(Failpoint.CALL_MESSAGE_SENT)
        except QueueUnavailable:
            refused, detail = list(range(len(messages))), "queue_unavailable"
        else:
            detail = "entry_refused"
        for entry, position in enumerate(messages):
            outcomes[position] = Delivery(delivered=False, detail=detail) if entry in refused else DELIVERED
        return outcomes

    return Channel("queue", CHANNEL_KINDS["queue"], send, QUEUE_RETRY, max_in_flight=100, batch_size=10)


def _call_message(row: OutboxRow) -> OutgoingMessage | None:
    # A newer version may have added to the payload. A dispatch needs only the ids.
    payload = row.payload
    try:
        request = CallRequested(payload["call_id"], payload["task_id"], payload["dispatch"])
    except KeyError:
        return None
    return OutgoingMessage(encode(request), attributes=attributes_of(request.call_id))


def engage_channel(engage: Engage) -> Channel:
    """ABT events and CRM writes, one request each."""

    async def send(rows: Sequence[OutboxRow]) -> list[Delivery]:
        return [await engage.deliver(row.kind, row.message_id, row.payload) for row in rows]

    return Channel("engage", CHANNEL_KINDS["engage"], send, ENGAGE_RETRY, max_in_flight=50)


def stop_channel(stop_call: StopCall) -> Channel:
    """Calls that must be ended at the provider."""

    async def send(rows: Sequence[OutboxRow]) -> list[Delivery]:
        outcomes = []
        for row in rows:
            provider_call_id = row.payload.get("provider_call_id")
            if not isinstance(provider_call_id, str):
                outcomes.append(MALFORMED)
                continue
            try:
                await stop_call(provider_call_id)
                outcomes.append(DELIVERED)
            except Retryable:
                outcomes.append(Delivery(delivered=False, detail="provider_unavailable"))
        return outcomes

    return Channel("stop", CHANNEL_KINDS["stop"], send, STOP_RETRY, max_in_flight=20)


# The lease of a row. Taken rows are sent at once, and Engage has 10 s, so a running relay finishes in time.
LEASE_S = 20
# Slower rows than this do not delay the others of their pass.
STRAGGLER_S = 0.25

_log = structlog.get_logger(__name__)


class OutboxWakeup:
    """Wakes the channels of this process that have a kind of row which was just committed, and no other."""

    def __init__(self) -> None:
        self._by_kind: dict[str, asyncio.Event] = {}

    def event_for(self, kinds: Sequence[OutboxKind]) -> asyncio.Event:
        """Return the event that is set for rows of these kinds."""
        event = asyncio.Event()
        self._by_kind |= dict.fromkeys(kinds, event)
        return event

    def notify(self, kinds: Collection[str]) -> None:
        for kind in kinds:
            if kind in self._by_kind:
                self._by_kind[kind].set()


class ReceiverUnavailable(Retryable):
    """Nothing was delivered in a pass, and not because of the rows."""


_Batches = dict[asyncio.Task[list[Delivery]], Sequence[OutboxRow]]


@dataclass(slots=True)
class RelayStats:
    """Deliveries of rows since the start, by kind, and all results by channel and result."""

    delivered: Counter[str] = field(default_factory=Counter)
    postponed: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)


class OutboxRelay:
    """Delivers the kinds of rows that have a configured receiver. Other kinds stay in the outbox."""

    def __init__(
        self,
        store: OutboxRows,
        clock: Clock,
        rng: random.Random,
        *,
        queue: MessageQueue | None = None,
        engage: Engage | None = None,
        stop_call: StopCall | None = None,
    ) -> None:
        channels = [
            queue_channel(queue) if queue is not None else None,
            engage_channel(engage) if engage is not None else None,
            stop_channel(stop_call) if stop_call is not None else None,
        ]
        self.channels = tuple(channel for channel in channels if channel is not None)
        self.stats = RelayStats()
        self.rng = rng
        self._store = store
        self._clock = clock
        self.availability = Availability()  # replaced by that of the process
        self._is_engage_lost = False

    def most_at_once(self, channel: Channel) -> int:
        """Return how many rows of the channel may be sent at once."""
        return 1 if self.is_lost(channel) else channel.max_in_flight

    def is_lost(self, channel: Channel) -> bool:
        """Report whether the last results of the channel say that its receiver is unavailable."""
        return channel.name == "engage" and self._is_engage_lost

    async def take(self, channel: Channel, limit: int) -> list[OutboxRow]:
        now = self._clock.now()
        rows = await self._store.take_outbox(channel.kinds, now, now + timedelta(seconds=LEASE_S), limit)
        if rows:
            reach(Failpoint.OUTBOX_TAKEN)
        return rows

    async def record_results(self, channel: Channel, outcomes: Sequence[tuple[OutboxRow, Delivery]]) -> bool:
        """Record the results of the rows, all delivered ones in one statement.

        Returns True if any row is delivered or dead.
        """
        delivered = [row for row, delivery in outcomes if delivery.delivered]
        if delivered:
            reach(Failpoint.OUTBOX_CARRIED)
            await self._store.outbox_delivered([row.row_id for row in delivered], self._clock.now())
            reach(Failpoint.OUTBOX_MARKED)
            self.stats.delivered.update(row.kind for row in delivered)
            self.stats.results[channel.name, "delivered"] += len(delivered)
            self.availability.found(channel.name)
            for row in delivered:
                if row.kind == "abt_event":
                    # Another version may have written the envelope.
                    data = row.payload.get("data")
                    _log.info(
                        "event.delivered",
                        call_id=row.call_id,
                        attempt_id=data.get("attempt_id") if isinstance(data, dict) else None,
                        type=row.payload.get("type"),
                        event_id=row.message_id,
                        tries=row.tries,
                    )
        reasons: Counter[str] = Counter()
        for row, delivery in outcomes:
            if not delivery.delivered and await self._postpone(channel, row, delivery):
                reasons[delivery.detail] += 1
        if channel.name == "engage" and outcomes:
            lost = _ENGAGE_IS_LOST & reasons.keys()
            self._is_engage_lost = bool(lost) and not delivered
            if self._is_engage_lost:
                self.availability.lost(channel.name, min(lost))
        if reasons:
            _log.warning("outbox.postponed", lane=channel.name, reasons=dict(reasons))
        return len(outcomes) > reasons.total()

    async def _postpone(self, channel: Channel, row: OutboxRow, delivery: Delivery) -> bool:
        """Postpone a row. Returns False if it is dead."""
        now = self._clock.now()
        wait_s = channel.retry.wait_s(delivery, row.tries, self.rng, row.refusals + delivery.permanent)
        due_at = None if wait_s is None else now + timedelta(seconds=wait_s)
        await self._store.outbox_failed(row.row_id, delivery.detail, due_at, now, refused=delivery.permanent)
        reach(Failpoint.OUTBOX_POSTPONED)
        if due_at is not None:
            self.stats.postponed[row.kind] += 1
            self.stats.results[channel.name, "postponed"] += 1
            return True
        self.stats.dead[row.kind] += 1
        self.stats.results[channel.name, "dead"] += 1
        _log.error("outbox.dead", row_id=row.row_id, kind=row.kind, tries=row.tries, error=delivery.detail)
        return False


async def deliver_due(relay: OutboxRelay, channel: Channel, stop: asyncio.Event) -> bool:
    """Deliver everything that is due now, with the rows that follow under the same key. Stops taking rows at `stop`.

    Returns False if it ended early because the receiver is unavailable. Raises the store's errors. Rows that were sent
    but not marked are sent again, under the same ids.
    """
    in_flight: _Batches = {}
    taking, has_tried = True, False
    try:
        while True:
            free = relay.most_at_once(channel) - sum(map(len, in_flight.values()))
            if taking and free > 0 and not stop.is_set():
                rows = await relay.take(channel, free)
                batches = [
                    rows[start : start + channel.batch_size] for start in range(0, len(rows), channel.batch_size)
                ]
                in_flight |= {asyncio.ensure_future(channel.send(batch)): batch for batch in batches}
            if not in_flight:
                return not (has_tried and relay.is_lost(channel))
            has_tried = True
            done, _ = await asyncio.wait(in_flight, timeout=STRAGGLER_S)
            finished = {task: in_flight.pop(task) for task in done}
            progress = await relay.record_results(channel, _outcomes(channel, finished))
            # If nothing is delivered, the receiver is unavailable. The rest of a backlog waits too.
            taking = progress or not done
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


def _outcomes(channel: Channel, batches: _Batches) -> list[tuple[OutboxRow, Delivery]]:
    """The results of finished batches. An unexpected error counts as a failed delivery of all rows of its batch.

    Such rows are retried and die as others do. A row that always fails delays no other row.
    """
    outcomes: list[tuple[OutboxRow, Delivery]] = []
    for task, rows in batches.items():
        error = task.exception()
        if error is None:
            outcomes += zip(rows, task.result(), strict=True)
        else:
            name = type(error).__name__
            _log.error("outbox.carrier_failed", lane=channel.name, error=name, at=location(error))
            outcomes += [(row, Delivery(delivered=False, detail=name)) for row in rows]
    return outcomes


async def run_relay(
    relay: OutboxRelay, wakeup: OutboxWakeup, stop: asyncio.Event, loops: Loops, poll_s: float = 1.0
) -> None:
    """Deliver each channel when `wakeup` names a kind of it and at least every `poll_s`, until `stop`.

    Sent batches are finished. While a receiver is unavailable, the pauses of a failing loop are between the passes.
    """

    async def deliver_channel(channel: Channel, woken: asyncio.Event) -> None:
        woken.clear()
        if not await deliver_due(relay, channel, stop):
            raise ReceiverUnavailable(channel.name)
        waits = [asyncio.ensure_future(event.wait()) for event in (woken, stop)]
        try:
            await asyncio.wait(waits, timeout=poll_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    relay.availability = loops.availability
    async with asyncio.TaskGroup() as group:
        for channel in relay.channels:
            one_pass = partial(deliver_channel, channel, wakeup.event_for(channel.kinds))
            group.create_task(loops.named("outbox", channel.name).run(one_pass, stop))
