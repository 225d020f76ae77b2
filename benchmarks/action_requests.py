"""The nine actions as requests, one for each API of an action. Each concerns a person of its own."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.http_load import post
from benchmarks.payloads import API_KEY, CALLER, fictional_phones, fill_in, signature, webhook_text
from benchmarks.seeding import ids_of

SYSTEMS, AGENTS = "systems", "agents"


@dataclass(frozen=True, slots=True)
class ActionKind:
    """`code` is the only reply that counts. Without `args`, they are made of the call itself."""

    action: str
    api: str
    code: str
    args: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        return f"{self.action} {self.api}"

    def request(self, number: int, seed: int) -> bytes:
        """Return the request about the call with this number. A request of an agent is signed with the current time."""
        if self.api == SYSTEMS:
            body = self._of_systems(number, seed)
            headers = f"authorization: Bearer {API_KEY}\r\nidempotency-key: {seed}-{number}\r\n"
            return post(f"/v1/actions/{self.action}", headers, body)
        body = fill_in(_tool_call(self.action, json.dumps(self.args), seed), ids_of(number)).encode()
        headers = f"x-retell-signature: {signature(body, time.time_ns() // 1_000_000)}\r\n"
        return post(f"/v1/retell/functions/{self.action}", headers, body)

    def _of_systems(self, number: int, seed: int) -> bytes:
        if self.args is not None:
            return json.dumps({"call_id": ids_of(number).call_id, "args": self.args}).encode()
        if self.action == "call_analysed":
            return fill_in(_analysed(seed), ids_of(number)).encode()
        return json.dumps({"args": {"from_number": fictional_phones()[number - 1], "to_number": CALLER}}).encode()


@lru_cache
def _analysed(seed: int) -> str:
    """A system's body with the whole call object, 20 KB."""
    call = json.loads(webhook_text("call_analyzed", seed))["call"]
    return json.dumps({"args": {"call": call}}, separators=(",", ":"))


@lru_cache
def _tool_call(action: str, args: str, seed: int) -> str:
    """A tool call late in a long conversation: its call object, transcript included, is 20 KB."""
    call = json.loads(webhook_text("call_started", seed))["call"]
    said = {"role": "tool_call_invocation", "tool_call_id": "tool_call_1", "name": action, "arguments": args}
    call["transcript_with_tool_calls"].append(said)
    return json.dumps({"name": action, "call": call, "args": json.loads(args)}, separators=(",", ":"))


_FOR_BOTH: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("field_writeback", "fields_written", {"fields": {"company": "Example Insurance", "interest": "high"}}),
    ("reschedule_call", "rescheduled", {"when": "tomorrow at 3pm", "reason": "is driving"}),
    ("delete_scheduled_task", "deleted", {"reason": "does not want the callback"}),
    ("update_timezone", "time_zone_set", {"time_zone": "Pacific"}),
    ("set_disposition", "disposition_set", {"code": "interested", "note": "Wants the papers by email."}),
    ("send_abt_event", "event_sent", {"type": "lead_qualified", "data": {"score": 7}}),
    ("note_writeback", "note_added", {"note": "Asked for the papers by email."}),
)

KINDS = (
    *(ActionKind(action, api, code, args) for action, code, args in _FOR_BOTH for api in (SYSTEMS, AGENTS)),
    ActionKind("incoming_call", SYSTEMS, "caller_known", None),
    ActionKind("call_analysed", SYSTEMS, "analysis_applied", None),
)
