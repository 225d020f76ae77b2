"""Check ABT events against the schemas in the package, and that they have no member that these do not name."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema_rs import Draft202012Validator

SCHEMAS = files("ringback") / "schemas" / "abt"
CUSTOM = "custom_event"


def checked_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event. Raises AssertionError with every fault."""
    type_ = str(event.get("type"))
    name = type_ if type_.startswith("voice_ai_call_") else CUSTOM
    faults = [f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in _validator(name).iter_errors(event)]
    assert not faults, (type_, faults)
    return event


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return read


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(_closed(schema(name), is_custom=name == CUSTOM), validate_formats=True)


def _closed(part: Any, *, is_custom: bool) -> Any:
    """The schema without room for other members. Receivers leave room; Ringback must name what it sends."""
    if isinstance(part, list):
        return [_closed(one, is_custom=is_custom) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(one, is_custom=is_custom) for name, one in part.items()}
    is_object = part.get("type") == "object" and "properties" in part
    # The data of a custom event has members of its own.
    if is_object and not (is_custom and "call_id" in part["properties"]):
        closed["additionalProperties"] = False
    return closed
