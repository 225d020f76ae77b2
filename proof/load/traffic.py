"""The offered load: calls due now, later and never, webhooks about calls in progress, and each request's answer."""

import heapq
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.http_load import post
from benchmarks.payloads import API_KEY, EVENTS, call_request, fictional_phones, fill_in, later, webhook_text
from benchmarks.seeding import CALLS_SIDE_BY_SIDE, ids_of
from ringback_emulator.outgoing_requests import retell_signature

#: Longer than every time within which the product promises an answer.
ANSWER_AT_MOST_S = 20.0
#: Statuses of requests without an answer: never sent because every connection was busy, cut off, or left hanging.
UNSENT, CUT_OFF, HANGING = 0, -1, -2
#: Due in 300 days; due at once and dialed; denied for its country, so final when it is accepted; about a seeded call.
LATER, NOW, BARRED, WEBHOOK = "later", "now", "barred", "webhook"
ACCEPTS = (LATER, NOW, BARRED)
_WAVE = CALLS_SIDE_BY_SIDE * len(EVENTS)
#: Ofcom's numbers for drama: outside the countries that may be dialed.
_BARRED_PHONE = "+442079460123"

#: Seconds since the start, the kind of request, and its number.
Due = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class Load:
    """`rates` per second and kind; in a closed loop they are only the mixture. `first` are the kinds' first numbers."""

    port: int
    seconds: float
    connections: int
    is_closed_loop: bool
    rates: dict[str, float]
    first: dict[str, int]
    seed: int
    webhook_key: str
    seeded_calls: int
    began_ms: int


def arrivals(load: Load) -> Iterator[Due]:
    """Of each kind at times of its own (a Poisson process from the seed), merged, without end."""
    return heapq.merge(*(_arrivals(load, kind) for kind in sorted(load.rates) if load.rates[kind] > 0))


def _arrivals(load: Load, kind: str) -> Iterator[Due]:
    dice, at_s, number = random.Random(f"{load.seed}:{kind}"), 0.0, load.first[kind]
    while True:
        at_s += dice.expovariate(load.rates[kind])
        yield at_s, kind, number
        number += 1


@dataclass(frozen=True, slots=True)
class Answered:
    """`due_s` since the start of the run, `late_s` what the client itself was late with sending, `took_s` from sent to
    answered. `is_refusal` is a problem document with Retry-After. `call_id` is of an accepted call."""

    kind: str
    number: int
    due_s: float
    late_s: float
    took_s: float
    status: int
    is_refusal: bool = False
    call_id: str | None = None

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def shed(self) -> bool:
        return self.status in (429, 503) and self.is_refusal

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def read(path: Path) -> list[Answered]:
    with path.open() as lines:
        return [Answered(**json.loads(line)) for line in lines]


@dataclass(frozen=True)
class Requests:
    """Makes each request from its kind and number alone, so that it can be sent again. The seeded calls began at
    `began_ms` of Unix time."""

    seed: int
    webhook_key: str
    seeded_calls: int
    began_ms: int

    def make(self, kind: str, number: int) -> bytes:
        return self._makers[kind](number)

    @cached_property
    def _makers(self) -> dict[str, Callable[[int], bytes]]:
        return {LATER: self._later, NOW: self._now, BARRED: self._barred, WEBHOOK: self._webhook}

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {event: self._dated(webhook_text(event, self.seed)) for event in EVENTS}

    def _dated(self, text: str) -> str:
        """A call that ended long ago would count as one whose analysis was given up."""
        webhook = json.loads(text)
        then_ms = webhook["call"]["start_timestamp"]
        return re.sub(r"\b179[0-9]{10}\b", lambda moment: str(int(moment[0]) - then_ms + self.began_ms), text)

    @cached_property
    def _not_before(self) -> str:
        return later().isoformat()

    def _later(self, number: int) -> bytes:
        return self._call(LATER, number, not_before=self._not_before)

    def _now(self, number: int) -> bytes:
        # From the end, because the seeded calls hold the people at the beginning.
        phone = fictional_phones()[-1 - number]
        return self._call(NOW, number, phone=phone, metadata={"emulator_scenario": "00"})

    def _barred(self, number: int) -> bytes:
        return self._call(BARRED, number, phone=_BARRED_PHONE)

    def _call(self, kind: str, number: int, *, phone: str | None = None, **more: object) -> bytes:
        body = call_request(number, None) | more
        contact = {**body["contact"], "contact_id": f"{kind}-{number}"}
        body["contact"] = contact | ({"phone": phone} if phone else {})
        headers = f"authorization: Bearer {API_KEY}\r\nidempotency-key: {self.key_of(kind, number)}\r\n"
        return post("/v1/calls", headers, json.dumps(body, separators=(",", ":")).encode())

    def key_of(self, kind: str, number: int) -> str:
        return f"{self.seed}-{kind}-{number}"

    def _webhook(self, number: int) -> bytes:
        event, call = self.subject(number)
        body = fill_in(self._texts[event], ids_of(call)).encode()
        return post("/retell/webhook", f"x-retell-signature: {self.sign(body)}\r\n", body)

    def subject(self, number: int) -> tuple[str, int]:
        """Event and seeded call of a webhook: waves of calls side by side, and from the start again after the last."""
        wave, position = divmod(number, _WAVE)
        event, call = divmod(position, CALLS_SIDE_BY_SIDE)
        return EVENTS[event], (wave * CALLS_SIDE_BY_SIDE + call) % self.seeded_calls + 1

    def number_of(self, event: str, call: int) -> int:
        """The first webhook with this subject."""
        wave, position = divmod(call - 1, CALLS_SIDE_BY_SIDE)
        return wave * _WAVE + EVENTS.index(event) * CALLS_SIDE_BY_SIDE + position

    def tool_call(self, call: int, note: str) -> bytes:
        """The agent of a seeded call notes something while the person is on the phone."""
        ids = ids_of(call)
        said = {"role": "tool_call_invocation", "tool_call_id": note, "name": "note_writeback", "arguments": "{}"}
        about = {"call_id": ids.provider_call_id, "transcript_with_tool_calls": [said]}
        body = json.dumps({"name": "note_writeback", "call": about, "args": {"note": note}}).encode()
        return post("/v1/retell/functions/note_writeback", f"x-retell-signature: {self.sign(body)}\r\n", body)

    def sign(self, body: bytes) -> str:
        return retell_signature(body, self.webhook_key, time.time_ns() // 1_000_000)
