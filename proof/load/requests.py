"""What the load is made of: calls due now, later and never, and webhooks about calls that are under way."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from benchmarks.http_load import post
from benchmarks.payloads import API_KEY, EVENTS, call_request, fictional_phones, fill_in, later, webhook_text
from benchmarks.seeding import CALLS_SIDE_BY_SIDE, ids_of

#: Due in 300 days; due at once and dialed; refused for its country, so final when it is accepted; about a seeded call.
LATER, NOW, BARRED, WEBHOOK = "later", "now", "barred", "webhook"
ACCEPTS = (LATER, NOW, BARRED)
_WAVE = CALLS_SIDE_BY_SIDE * len(EVENTS)
#: Ofcom's numbers for drama: outside the countries that may be dialed.
_BARRED_PHONE = "+442079460123"


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
        """HMAC-SHA256 over body and time (retell-sdk 6.2.13, lib/webhook_auth.py)."""
        now_ms = time.time_ns() // 1_000_000
        digest = hmac.new(self.webhook_key.encode(), body + str(now_ms).encode(), hashlib.sha256).hexdigest()
        return f"v={now_ms},d={digest}"
