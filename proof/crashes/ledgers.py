"""The emulators' journals and the wire log of a trial, read from their files as they grow."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringback_emulator.scenarios import SCENARIOS

Json = dict[str, Any]
_COPIES = {"never": 0, "once": 1, "twice_reversed": 2}


@dataclass(slots=True)
class PhoneCall:
    """One call of the emulator's journal; times are the testbed's, in milliseconds."""

    call_id: str
    scenario: str
    direction: str
    phone: str
    metadata: Json
    created_ms: int
    connected: bool = False
    ended_ms: int | None = None
    analyzed: bool = False
    webhooks_done: int = 0
    tool_replies: list[tuple[str, Json]] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Analysed, and every webhook was accepted or given up."""
        copies = _COPIES[SCENARIOS[self.scenario].webhooks]
        return self.analyzed and self.webhooks_done >= (3 if self.connected else 2) * copies


class Ledger:
    """The files in the emulators' state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._read_to = 0
        self.calls: dict[str, PhoneCall] = {}

    def is_quiet(self) -> bool:
        """Whether no call is in progress, and no webhook is owed."""
        self.read_calls()
        return all(call.is_over for call in self.calls.values())

    def read_calls(self) -> None:
        """Reads the lines that are new since the last time."""
        with (self._state / "calls.jsonl").open("rb") as journal:
            journal.seek(self._read_to)
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                self._apply(json.loads(line))

    def lines(self, name: str) -> list[Json]:
        return [json.loads(line) for line in (self._state / f"{name}.jsonl").read_bytes().splitlines()]

    def _apply(self, record: Json) -> None:
        if record["what"] == "created":
            new = record["call"]
            outbound = new["direction"] == "outbound"
            self.calls[new["call_id"]] = PhoneCall(
                new["call_id"],
                new["scenario"],
                new["direction"],
                new["to_number"] if outbound else new["from_number"],
                new["metadata"] or {},
                new["created_ms"],
            )
            return
        call = self.calls.get(record.get("call_id", ""))
        if call is None:
            return
        match record["what"]:
            case "connected":
                call.connected = True
            case "ended":
                call.ended_ms = record["at_ms"]
            case "analyzed":
                call.analyzed = True
            case "settled":
                call.webhooks_done += 1
            case "tool_called":
                call.tools[record["tool_call_id"]] = record["name"]
            case "tool_answered" if record["successful"]:
                reply = json.loads(record["content"])
                call.tool_replies.append((call.tools[record["tool_call_id"]], reply))
