"""Everything the emulated Retell knows about its calls, rebuilt from its journal at every start."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ringback_emulator.journal import Journal

Stage = Literal["registered", "ongoing", "ended", "analyzed"]
Direction = Literal["outbound", "inbound"]


@dataclass(slots=True)
class ToolCall:
    """One custom function call; `content` stays None until the function answered or was given up."""

    tool_call_id: str
    name: str
    args: dict[str, Any]
    content: str | None = None
    successful: bool = False


@dataclass(slots=True)
class Call:
    """One phone call. Times are real wall-clock milliseconds."""

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
    tool_calls: list[ToolCall] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)

    @property
    def person(self) -> str:
        """The number of the human being, or what they show instead of one."""
        return self.to_number if self.direction == "outbound" else self.from_number

    @property
    def stage(self) -> Stage:
        if self.analyzed_ms is not None:
            return "analyzed"
        if self.ended_ms is not None:
            return "ended"
        return "registered" if self.connected_ms is None else "ongoing"


class CallBook:
    """State changes are records: written to the journal first, then applied, and applied again after a restart."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.calls: dict[str, Call] = {}
        self.live: set[str] = set()
        self.by_idempotency_key: dict[str, Call] = {}
        self.throttles: dict[str, int] = {}
        self.do_not_call: set[str] = set()
        self._rules: dict[str, Callable[[dict[str, Any]], None]] = {
            "created": self._created,
            "connected": self._connected,
            "tool_called": self._tool_called,
            "tool_answered": self._tool_answered,
            "ended": self._ended,
            "analyzed": self._analyzed,
            "settled": self._settled,
            "updated": self._updated,
            "deleted": self._deleted,
            "throttled": self._throttled,
            "opted_out": self._opted_out,
        }
        for record in journal.records():
            self._rules[record["what"]](record)

    def write(self, what: str, **facts: Any) -> None:
        record = {"what": what, **facts}
        self._journal.append(record)
        self._rules[what](record)

    def create(self, call: Call) -> None:
        self.write("created", call=asdict(call))

    def _created(self, record: dict[str, Any]) -> None:
        call = Call(**record["call"])
        self.calls[call.call_id] = call
        self.live.add(call.call_id)
        if call.idempotency_key is not None:
            self.by_idempotency_key[call.idempotency_key] = call

    def _connected(self, record: dict[str, Any]) -> None:
        self.calls[record["call_id"]].connected_ms = record["at_ms"]

    def _tool_called(self, record: dict[str, Any]) -> None:
        tool_call = ToolCall(record["tool_call_id"], record["name"], record["args"])
        self.calls[record["call_id"]].tool_calls.append(tool_call)

    def _tool_answered(self, record: dict[str, Any]) -> None:
        for tool_call in self.calls[record["call_id"]].tool_calls:
            if tool_call.tool_call_id == record["tool_call_id"]:
                tool_call.content = record["content"]
                tool_call.successful = record["successful"]

    def _ended(self, record: dict[str, Any]) -> None:
        call = self.calls[record["call_id"]]
        call.ended_ms, call.disconnection_reason = record["at_ms"], record["reason"]
        self.live.discard(call.call_id)

    def _analyzed(self, record: dict[str, Any]) -> None:
        self.calls[record["call_id"]].analyzed_ms = record["at_ms"]

    def _settled(self, record: dict[str, Any]) -> None:
        call = self.calls.get(record["call_id"])
        if call is not None:
            call.settled.append(record["delivery"])

    def _updated(self, record: dict[str, Any]) -> None:
        call = self.calls[record["call_id"]]
        call.metadata = record["metadata"]
        call.data_storage_setting = record["data_storage_setting"]

    def _deleted(self, record: dict[str, Any]) -> None:
        self.live.discard(record["call_id"])
        del self.calls[record["call_id"]]

    def _throttled(self, record: dict[str, Any]) -> None:
        self.throttles[record["key"]] = self.throttles.get(record["key"], 0) + 1

    def _opted_out(self, record: dict[str, Any]) -> None:
        self.do_not_call.add(record["phone"])
