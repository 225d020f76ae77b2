"""Calls of the emulated Retell, read from their file at every start."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ringback_emulator.json_lines import JsonLinesFile

Stage = Literal["registered", "ongoing", "ended", "analyzed"]
Direction = Literal["outbound", "inbound"]


@dataclass(slots=True)
class FunctionCall:
    """One call of a custom function. `content` is None until the function answered or the last try failed."""

    tool_call_id: str
    name: str
    args: dict[str, Any]
    content: str | None = None
    successful: bool = False


@dataclass(slots=True)
class Call:
    """One phone call. Times are Unix milliseconds. The field names are written to the file.

    `settled` names the webhooks that were delivered or given up.
    """

    call_id: str
    scenario: str
    created_ms: int
    to_number: str
    from_number: str
    agent_id: str
    agent_version: int
    webhook_url: str | None
    webhook_events: list[str]
    data_storage_setting: str
    idempotency_key: str | None = None
    metadata: dict[str, Any] | None = None
    dynamic_variables: dict[str, str] | None = None
    custom_sip_headers: dict[str, str] | None = None
    connected_ms: int | None = None
    ended_ms: int | None = None
    analyzed_ms: int | None = None
    disconnection_reason: str | None = None
    direction: Direction = "outbound"
    tool_calls: list[FunctionCall] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)

    @property
    def person_number(self) -> str:
        """The person's number. An inbound caller with a withheld number has "anonymous"."""
        return self.to_number if self.direction == "outbound" else self.from_number

    @property
    def stage(self) -> Stage:
        if self.analyzed_ms is not None:
            return "analyzed"
        if self.ended_ms is not None:
            return "ended"
        return "registered" if self.connected_ms is None else "ongoing"


class CallStore:
    """Calls in memory. Every change is written to the file first, then applied; a restart applies them all again."""

    def __init__(self, file: JsonLinesFile) -> None:
        self._file = file
        self.calls: dict[str, Call] = {}
        self.unended: set[str] = set()
        self.by_idempotency_key: dict[str, Call] = {}
        self.throttled_creates: dict[str, int] = {}
        self.do_not_call: set[str] = set()
        self._appliers: dict[str, Callable[[dict[str, Any]], None]] = {
            "created": self._apply_created,
            "connected": self._apply_connected,
            "tool_called": self._apply_tool_called,
            "tool_answered": self._apply_tool_answered,
            "ended": self._apply_ended,
            "analyzed": self._apply_analyzed,
            "settled": self._apply_settled,
            "throttled": self._apply_throttled,
            "opted_out": self._apply_opted_out,
        }
        for record in file.records():
            self._appliers[record["what"]](record)

    def write(self, what: str, **facts: Any) -> None:
        record = {"what": what, **facts}
        self._file.append(record)
        self._appliers[what](record)

    def create(self, call: Call) -> Call:
        """Write the call and return the stored copy."""
        self.write("created", call=asdict(call))
        return self.calls[call.call_id]

    def _apply_created(self, record: dict[str, Any]) -> None:
        call = Call(**record["call"])
        self.calls[call.call_id] = call
        self.unended.add(call.call_id)
        if call.idempotency_key is not None:
            self.by_idempotency_key[call.idempotency_key] = call

    def _apply_connected(self, record: dict[str, Any]) -> None:
        self.calls[record["call_id"]].connected_ms = record["at_ms"]

    def _apply_tool_called(self, record: dict[str, Any]) -> None:
        function_call = FunctionCall(record["tool_call_id"], record["name"], record["args"])
        self.calls[record["call_id"]].tool_calls.append(function_call)

    def _apply_tool_answered(self, record: dict[str, Any]) -> None:
        for function_call in self.calls[record["call_id"]].tool_calls:
            if function_call.tool_call_id == record["tool_call_id"]:
                function_call.content = record["content"]
                function_call.successful = record["successful"]

    def _apply_ended(self, record: dict[str, Any]) -> None:
        call = self.calls[record["call_id"]]
        call.ended_ms, call.disconnection_reason = record["at_ms"], record["reason"]
        self.unended.discard(call.call_id)

    def _apply_analyzed(self, record: dict[str, Any]) -> None:
        self.calls[record["call_id"]].analyzed_ms = record["at_ms"]

    def _apply_settled(self, record: dict[str, Any]) -> None:
        self.calls[record["call_id"]].settled.append(record["delivery"])

    def _apply_throttled(self, record: dict[str, Any]) -> None:
        self.throttled_creates[record["key"]] = self.throttled_creates.get(record["key"], 0) + 1

    def _apply_opted_out(self, record: dict[str, Any]) -> None:
        self.do_not_call.add(record["phone"])
