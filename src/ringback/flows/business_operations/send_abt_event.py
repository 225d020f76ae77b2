"""send_abt_event: send Engage a custom event of the installation, in the call's sequence."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import LIFECYCLE_NAMES
from ringback.domain.catalog import Catalog
from ringback.flows.abt_events import OWN_DATA, CustomEvent, emit_custom
from ringback.flows.business_operations.action import (
    ActionDeclaration,
    ActionError,
    Reply,
    Subject,
)
from ringback.flows.business_operations.arguments import arguments, read_texts, refuse_if_any, text
from ringback.flows.business_operations.target import find_target
from ringback.storage import UnitOfWork

#: Size as JSON. Engage gets it in one request, and the outbox keeps it as long as every event.
MAX_DATA_BYTES = 16 * 1024
MAX_DATA_DEPTH = 8


def declare(catalog: Catalog) -> ActionDeclaration:
    events = sorted(catalog.events)
    data = {"type": "object", "description": "What belongs to it, as plain values."}
    return ActionDeclaration(
        name="send_abt_event",
        description="Report that something happened in the conversation which other systems wait for.",
        arguments=arguments({"type": text(64, "What happened.", events), "data": data}, "type"),
        codes={
            "event_sent": "It is on its way, behind the call's earlier events.",
            "unknown_event": "The type is not in the catalogue; `result.valid` lists those that are.",
            "reserved_event": "The type is one of the seven that tell the life of a call.",
            "which_call": "The contact has several calls; `result.call_ids` lists them.",
            "not_found": "The contact has no call to which the event could belong.",
        },
        result={"event_id": "The event's id.", "type": "Its type."},
    )


@dataclass(frozen=True, slots=True)
class SendAbtEvent:
    catalog: Catalog
    new_id: Callable[[], str]
    locks_every_phone: bool = False
    find = staticmethod(find_target)

    @property
    def declaration(self) -> ActionDeclaration:
        return declare(self.catalog)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        type_, data = self._read(args)
        call = subject.call
        if call is None and subject.unfinished:
            say = "This contact has several calls; name one by its call_id."
            raise ActionError("which_call", say, {"call_ids": list(subject.unfinished)})
        if call is None:
            raise ActionError("not_found", "This contact has no call to which the event could belong.")
        event_id = await emit_custom(tx, call, subject.attempt, CustomEvent(self.new_id(), type_, data), now)
        await tx.save(call)
        return _reply("event_sent", event_id, type_)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        type_, _ = self._read(args)
        return _reply("rehearsed", None, type_)

    def _read(self, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        type_ = read_texts(args, self.declaration.arguments).get("type", "")
        valid = {"valid": sorted(self.catalog.events)}
        if type_ in LIFECYCLE_NAMES:
            raise ActionError("reserved_event", "Sorry, I cannot report that.", valid)
        if type_ not in self.catalog.events:
            raise ActionError("unknown_event", "Sorry, I could not report that.", valid)
        data = args.get("data")
        if data is None:
            data = {}
        problem = _problem_with(data)
        refuse_if_any({"data": problem} if problem else {}, "Sorry, I could not report that.")
        return type_, data


def _problem_with(data: object) -> str | None:
    if not isinstance(data, dict):
        return "must be an object"
    if reserved := sorted(OWN_DATA & data.keys()):
        return f"may not hold {', '.join(reserved)}, which every event has"
    try:
        # Not ASCII: then the encoding finds half a surrogate pair; and infinity is not JSON.
        encoded = json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return "holds a value that is not JSON"
    if len(encoded) > MAX_DATA_BYTES:
        return f"longer than {MAX_DATA_BYTES} bytes"
    # Values that JSON allows and its readers reject.
    level: list[object] = [data]
    for _ in range(MAX_DATA_DEPTH):
        parts = [part for each in level if isinstance(each, dict) for part in (*each.keys(), *each.values())]
        parts += [part for each in level if isinstance(each, list) for part in each]
        if any(isinstance(part, str) and "\0" in part for part in parts):
            return "holds characters that are no text"
        if any(isinstance(part, int) and abs(part) >= 2**63 for part in parts):
            return "holds a number that is out of range"
        if not parts:
            return None
        level = parts
    return f"nested deeper than {MAX_DATA_DEPTH} levels"


def _reply(code: str, event_id: str | None, type_: str) -> Reply:
    return Reply(True, code, "Thank you, I have passed that on.", {"event_id": event_id, "type": type_})
