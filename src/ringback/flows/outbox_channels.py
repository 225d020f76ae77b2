"""Who carries each kind of outbox row, how many at once, and how patiently."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ringback.domain.errors import QueueUnavailable, Retryable
from ringback.failpoints import Failpoint, reach
from ringback.messages import CallRequested, encode
from ringback.ports import Delivery, Engage, MessageQueue, OutboxKind, OutboxRow, OutgoingMessage

StopCall = Callable[[str], Awaitable[None]]

DELIVERED = Delivery(delivered=True)
# Another version of this program wrote the row: it must not take the other rows of its parcel with it.
MALFORMED = Delivery(delivered=False, permanent=True, detail="malformed")

#: A row that is refused for itself (a permanent answer) is offered this often.
REFUSED_TRIES = 5


@dataclass(frozen=True, slots=True)
class RetryPace:
    """Waits of 1 s, 2 s, 4 s … up to `cap_s`, each drawn evenly from zero to that; dead after `tries` (None: never).

    Tries are counted, not time since the row was written: a row may have waited for days behind another, or for Engage
    to be configured at all, and still deserves every one.
    """

    cap_s: float
    tries: int | None

    def wait_s(self, delivery: Delivery, tries: int, rng: random.Random, refusals: int = 0) -> float | None:
        """Seconds until the next try after `tries` failed ones, `refusals` of them permanent; None: no more. The
        receiver's own wish is waited first and the draw is added to it, so that all who were sent away together do not
        come back together."""
        if delivery.permanent and refusals >= REFUSED_TRIES:
            return None
        if self.tries is not None and tries >= self.tries:
            return None
        ceiling_s = min(self.cap_s, 2.0 ** min(tries - 1, 30))
        return (delivery.retry_after_s or 0.0) + rng.uniform(0.0, ceiling_s)


# The queue is ours: a call that was accepted is published however long the queue is away.
QUEUE_RETRY = RetryPace(cap_s=30, tries=None)
# The first 12 waits last 34 minutes on average, each later one half an hour: 60 tries are about a day.
ENGAGE_RETRY = RetryPace(cap_s=3600, tries=60)
# A person is on the line: never wait long. 480 tries of 15 s on average are two hours, longer than any call.
STOP_RETRY = RetryPace(cap_s=30, tries=480)


@dataclass(frozen=True, slots=True)
class Channel:
    """Kinds of rows that share one receiver. Channels do not wait for each other: a slow Engage must not slow dialing.

    At most `room` rows are under way, in parcels of `parcel`; `carry` says of each row of a parcel what became of it.
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

    return Channel("queue", ("call_message",), send, QUEUE_RETRY, max_in_flight=100, batch_size=10)


def _call_message(row: OutboxRow) -> OutgoingMessage | None:
    # A newer version may have added to the payload; the ids are all that a dispatch needs.
    payload = row.payload
    try:
        request = CallRequested(payload["call_id"], payload["task_id"], payload["dispatch"])
    except KeyError:
        return None
    return OutgoingMessage(encode(request))


def engage_channel(engage: Engage) -> Channel:
    """ABT events and CRM writes, one request each."""

    async def send(rows: Sequence[OutboxRow]) -> list[Delivery]:
        return [await engage.deliver(row.kind, row.message_id, row.payload) for row in rows]

    return Channel("engage", ("abt_event", "crm_fields", "crm_note"), send, ENGAGE_RETRY, max_in_flight=50)


def stop_channel(stop_call: StopCall) -> Channel:
    """Calls that must be ended at the provider."""

    async def send(rows: Sequence[OutboxRow]) -> list[Delivery]:
        return [await _stopped(row) for row in rows]

    async def _stopped(row: OutboxRow) -> Delivery:
        provider_call_id = row.payload.get("provider_call_id")
        if not isinstance(provider_call_id, str):
            return MALFORMED
        try:
            await stop_call(provider_call_id)
        except Retryable:
            return Delivery(delivered=False, detail="provider_unavailable")
        return DELIVERED

    return Channel("stop", ("stop_call",), send, STOP_RETRY, max_in_flight=20)
