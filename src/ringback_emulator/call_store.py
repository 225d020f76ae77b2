"""Calls of the emulated Retell, read from their file at every start."""

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
    `ring_s` and `talk_s` are emulated seconds. None: as long as the scenario says.
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
    ring_s: float | None = None
    talk_s: float | None = None
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

    def apply(self, record: dict[str, Any]) -> None:
        """Apply a change that the file records. Raises ValueError for an unknown one."""
        match record["what"]:
            case "connected":
                self.connected_ms = record["at_ms"]
            case "tool_called":
                self.tool_calls.append(FunctionCall(record["tool_call_id"], record["name"], record["args"]))
            case "tool_answered":
                for function_call in self.tool_calls:
                    if function_call.tool_call_id == record["tool_call_id"]:
                        function_call.content, function_call.successful = record["content"], record["successful"]
            case "ended":
                self.ended_ms, self.disconnection_reason = record["at_ms"], record["reason"]
            case "analyzed":
                self.analyzed_ms = record["at_ms"]
            case "settled":
                self.settled.append(record["delivery"])
            case unknown:
                raise ValueError(f"{unknown} is not a change of a call")


class CallStore:
    """Calls in memory. Every change is written to the file first, then applied; a restart applies them all again."""

    def __init__(self, file: JsonLinesFile) -> None:
        self._file = file
        self.calls: dict[str, Call] = {}
        self.unended: set[str] = set()
        self.by_idempotency_key: dict[str, Call] = {}
        self.throttled_creates: dict[str, int] = {}
        self.do_not_call: set[str] = set()
        for record in file.records():
            self._apply(record)

    def write(self, what: str, **facts: Any) -> None:
        record = {"what": what, **facts}
        self._file.append(record)
        self._apply(record)

    def create(self, call: Call) -> Call:
        """Write the call and return the stored copy."""
        self.write("created", call=asdict(call))
        return self.calls[call.call_id]

    def _apply(self, record: dict[str, Any]) -> None:
        match record["what"]:
            case "created":
                call = Call(**record["call"])
                self.calls[call.call_id] = call
                self.unended.add(call.call_id)
                if call.idempotency_key is not None:
                    self.by_idempotency_key[call.idempotency_key] = call
            case "throttled":
                self.throttled_creates[record["key"]] = self.throttled_creates.get(record["key"], 0) + 1
            case "opted_out":
                self.do_not_call.add(record["phone"])
            case what:
                self.calls[record["call_id"]].apply(record)
                if what == "ended":
                    self.unended.discard(record["call_id"])
