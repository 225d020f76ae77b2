"""send_abt_event: send Engage a custom event of the installation, in the call's sequence."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import LIFECYCLE_NAMES, OWN_DATA
from ringback.domain.catalog import Catalog, CustomEventType
from ringback.flows.abt_events import CustomEvent, emit_custom
from ringback.flows.business_operations.action import (
    ActionDeclaration,
    ActionError,
    Reply,
    Scope,
    Subject,
)
from ringback.flows.business_operations.arguments import (
    UnfitValue,
    arguments,
    read_texts,
    read_value,
    refuse_if_any,
    schema_of,
    text,
)
from ringback.flows.business_operations.coercion import coerced
from ringback.flows.business_operations.target import WHICH_CALL_SAY, find_target
from ringback.storage import Part, UnitOfWork

#: Size as JSON. Engage gets it in one request, and the outbox keeps it as long as every event.
MAX_DATA_BYTES = 16 * 1024
MAX_DATA_DEPTH = 8

NOT_REPORTED_SAY = "Sorry, I could not report that."
INVALID_DATA_SAY = "I need one more detail for that, or did not understand it; could you tell me?"


def declare(catalog: Catalog) -> ActionDeclaration:
    described = [f" {one.name}: {one.description}" for one in catalog.events.values() if one.description]
    what = f"What happened.{''.join(described)}"
    return ActionDeclaration(
        name="send_abt_event",
        description="Report that something happened in the conversation which other systems wait for.",
        arguments=arguments({"type": text(64, what, sorted(catalog.events)), "data": _data_schema(catalog)}, "type"),
        codes={
            "event_sent": "It is on its way, behind the call's earlier events.",
            "unknown_event": "The type is not in the catalogue; `result.valid` lists those that are.",
            "invalid_data": "The data lacks a member or has an unfit one; `result.rejected` says what each has to be.",
            "reserved_event": "The type is one of the seven that tell the life of a call.",
            "which_call": "The contact has several calls; `result.call_ids` lists them.",
            "not_found": "The contact has no call to which the event could belong.",
        },
        result={"event_id": "The event's id.", "type": "Its type."},
    )


def _data_schema(catalog: Catalog) -> dict[str, Any]:
    """One schema for the data of all events, because models and platforms do not read alternatives reliably.

    The description of a member says to which event it belongs, and whether that event needs it.
    """
    properties: dict[str, dict[str, Any]] = {}
    for event in catalog.events.values():
        for name, member in event.data.items():
            own = schema_of(member)
            whose = f"{'Needed' if member.required else 'Optional'} for {event.name}."
            told = f"{whose} {own.pop('description', '')}".strip()
            known = properties.setdefault(name, {**own, "description": ""})
            if own != {key: value for key, value in known.items() if key != "description"}:
                # Two events disagree about it: each one's own rules decide when it is sent.
                known = properties[name] = {"description": known["description"]}
            known["description"] = f"{known['description']} {told}".strip()
    schema: dict[str, Any] = {
        "type": "object",
        "description": "What belongs to it, as plain values; leave out what was not said.",
    }
    if properties:
        schema["properties"] = properties
        schema["additionalProperties"] = any(event.more_data for event in catalog.events.values())
    return schema


@dataclass(frozen=True, slots=True)
class SendAbtEvent:
    catalog: Catalog
    new_id: Callable[[], str]
    locks_every_phone: bool = False
    reads: Part | None = None
    find = staticmethod(find_target)

    @property
    def declaration(self) -> ActionDeclaration:
        return declare(self.catalog)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        type_, data, ignored = self._read(args, subject.request.scope)
        call = subject.call
        if call is None and subject.unfinished:
            raise ActionError("which_call", WHICH_CALL_SAY, {"call_ids": list(subject.unfinished)})
        if call is None:
            raise ActionError("not_found", "This contact has no call to which the event could belong.")
        event_id = await emit_custom(tx, call, subject.attempt, CustomEvent(self.new_id(), type_, data), now)
        await tx.save(call)
        return _reply("event_sent", event_id, type_, ignored)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        type_, _, ignored = self._read(args, Scope.RETELL)
        return _reply("rehearsed", None, type_, ignored)

    def _read(self, args: Mapping[str, Any], scope: Scope) -> tuple[str, dict[str, Any], list[str]]:
        """The type, its data, and the names of an agent's members that the event does not have."""
        type_ = read_texts(args, self.declaration.arguments).get("type", "")
        valid = {"valid": sorted(self.catalog.events)}
        if type_ in LIFECYCLE_NAMES:
            raise ActionError("reserved_event", NOT_REPORTED_SAY, valid)
        if type_ not in self.catalog.events:
            raise ActionError("unknown_event", NOT_REPORTED_SAY, valid)
        data = args.get("data")
        if data is None:
            data = {}
        problem = _problem_with(data)
        refuse_if_any({"data": problem} if problem else {}, NOT_REPORTED_SAY)
        event = self.catalog.events[type_]
        unknown = [] if event.more_data else [name for name in data if name not in event.data]
        if scope is Scope.RETELL:
            # An addition or a spelling of the model's own must not stop the event.
            schemas = {name: schema_of(member) for name, member in event.data.items()}
            data = {name: coerced(data[name], schemas.get(name, {})) for name in data if name not in unknown}
        return type_, _checked(event, data), [f"data.{name}" for name in unknown]


def _checked(event: CustomEventType, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with its declared members normalised. Raises ActionError with what each wrong member has to be."""
    allowed = f"unknown; allowed: {', '.join(event.data)}"
    rejected = {name: allowed for name in data if not event.more_data and name not in event.data}
    checked = dict(data)
    for name, member in event.data.items():
        if data.get(name) is None:
            checked.pop(name, None)
            if member.required:
                rejected[name] = f"is needed; {member.description}".rstrip("; ")
            continue
        try:
            checked[name] = read_value(member, data[name])
        except UnfitValue as unfit:
            rejected[name] = str(unfit)
    if rejected:
        raise ActionError("invalid_data", INVALID_DATA_SAY, {"rejected": rejected})
    return checked


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


def _reply(code: str, event_id: str | None, type_: str, ignored: list[str]) -> Reply:
    result = {"event_id": event_id, "type": type_, **({"ignored": ignored} if ignored else {})}
    return Reply(True, code, "Thank you, I have passed that on.", result)
