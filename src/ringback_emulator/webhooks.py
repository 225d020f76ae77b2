"""Webhook delivery: up to four tries, each signed anew, in order but never waiting for one another."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ringback_emulator.call_book import Call, CallBook, Stage
from ringback_emulator.call_object import call_object
from ringback_emulator.faults import RetellFaults
from ringback_emulator.outgoing import SignedPost, encoded, post_until_accepted
from ringback_emulator.scenarios import SCENARIOS

Spawn = Callable[[Coroutine[Any, Any, None]], None]

_EVENT_STAGES: dict[str, Stage] = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "analyzed"}
_COPIES = {"never": 0, "once": 1, "twice_reversed": 2}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of one event; the second copy of a duplicated event is copy 1."""

    event: str
    copy: int

    def __str__(self) -> str:
        return f"{self.event}#{self.copy}"


def owed_deliveries(call: Call) -> list[Delivery]:
    """What the call's progress so far calls for and has not been settled, in the order of sending."""
    if call.webhook_url is None:
        return []
    mode = SCENARIOS[call.scenario].webhooks
    events = [event for event in _happened_ms(call) if event in call.webhook_events]
    if mode == "twice_reversed":
        # Held back until everything has happened, or there would be no order to reverse.
        events = [] if call.analyzed_ms is None else events[::-1]
    deliveries = [Delivery(event, copy) for event in events for copy in range(_COPIES[mode])]
    return [delivery for delivery in deliveries if str(delivery) not in call.settled]


def _happened_ms(call: Call) -> dict[str, int]:
    times = {"call_started": call.connected_ms, "call_ended": call.ended_ms, "call_analyzed": call.analyzed_ms}
    return {event: at_ms for event, at_ms in times.items() if at_ms is not None}


def webhook_body(call: Call, delivery: Delivery, seed: int) -> bytes:
    """The event as it stood when it happened, however late it is sent; a copy differs in `event_timestamp` alone."""
    return encoded(
        {
            "event": delivery.event,
            "call": call_object(call, _EVENT_STAGES[delivery.event], seed),
            "event_timestamp": _happened_ms(call)[delivery.event] + delivery.copy,
        }
    )


class Courier:
    """Sends what is owed and notes it as settled once it was accepted or all tries are used up."""

    def __init__(
        self, book: CallBook, post: SignedPost, faults: RetellFaults, spawn: Spawn, pace: tuple[float, int]
    ) -> None:
        self._book = book
        self._post = post
        self._faults = faults
        self._spawn = spawn
        self._speed, self._seed = pace
        self._under_way: set[tuple[str, Delivery]] = set()

    def send_owed(self, call: Call) -> None:
        deliveries = [item for item in owed_deliveries(call) if (call.call_id, item) not in self._under_way]
        self._under_way.update((call.call_id, item) for item in deliveries)
        if SCENARIOS[call.scenario].webhooks == "twice_reversed":
            self._spawn(self._deliver(call, deliveries))
        else:
            for delivery in deliveries:
                self._spawn(self._deliver(call, [delivery]))

    async def _deliver(self, call: Call, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if self._faults.webhooks != "drop":
                body = webhook_body(call, delivery, self._seed)
                await post_until_accepted(self._post, call.webhook_url or "", body, self._speed)
            self._book.write("settled", call_id=call.call_id, delivery=str(delivery))
            self._under_way.discard((call.call_id, delivery))
