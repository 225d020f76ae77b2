"""What the outside saw of a trial: the emulators' files and the wire log, read from their files as they grow."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringback_emulator.scenarios import SCENARIOS

Json = dict[str, Any]
_COPIES = {"never": 0, "once": 1, "twice_reversed": 2}


@dataclass(slots=True)
class PhoneCall:
    """One call of the emulator's own file; times are the lane's, in milliseconds."""

    call_id: str
    scenario: str
    direction: str
    phone: str
    metadata: Json
    created_ms: int
    connected: bool = False
    ended_ms: int | None = None
    analyzed: bool = False
    settled: int = 0
    tool_replies: list[tuple[str, Json]] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Analysed, and every webhook was accepted or given up."""
        copies = _COPIES[SCENARIOS[self.scenario].webhooks]
        return self.analyzed and self.settled >= (3 if self.connected else 2) * copies


class WorldLedger:
    """The files in the world's state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._read_to = 0
        self.calls: dict[str, PhoneCall] = {}

    def is_quiet(self) -> bool:
        """No call is under way, and no webhook is owed."""
        self.read_calls()
        return all(call.is_over for call in self.calls.values())

    def read_calls(self) -> None:
        """What was added to the book since the last time."""
        with (self._state / "calls.jsonl").open("rb") as book:
            book.seek(self._read_to)
            for line in book:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                self._apply(json.loads(line))

    def rings(self) -> list[Json]:
        return self._lines("rings.jsonl")

    def creates(self) -> list[Json]:
        return self._lines("creates.jsonl")

    def events(self) -> list[Json]:
        return self._lines("events.jsonl")

    def writes(self) -> list[Json]:
        return self._lines("writes.jsonl")

    def _lines(self, name: str) -> list[Json]:
        return [json.loads(line) for line in (self._state / name).read_bytes().splitlines()]

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
                call.settled += 1
            case "tool_called":
                call.tools[record["tool_call_id"]] = record["name"]
            case "tool_answered" if record["successful"]:
                reply = json.loads(record["content"])
                call.tool_replies.append((call.tools[record["tool_call_id"]], reply))


def counted_by_attempt(rings: list[Json]) -> Counter[str]:
    return Counter(ring["metadata"]["ringback_attempt_id"] for ring in rings)
