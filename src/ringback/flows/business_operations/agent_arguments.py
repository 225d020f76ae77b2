"""What the arguments of an agent's function call mean. A model writes them, loosely, and the platform adds its own."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ringback.domain.plain_text import trimmed

#: How models write that they have no value for an argument.
NO_VALUE = frozenset({"null", "none", "nil", "undefined", "n/a", "n.a."})
#: A variable that the platform could not fill in.
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"[^<>@]*<(?P<address>[^<>]*)>")
#: As many names of ignored arguments are told as help to mend a prompt.
MAX_IGNORED, MAX_IGNORED_CHARS = 20, 64


def as_meant(args: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The arguments that the schema declares, without those that have no value, and the names of those left out as
    unknown or unusable. An optional text must not stop an action that a person asked for: it is cut, or left out.
    """
    properties = schema["properties"]
    given, meant, ignored = _gathered(args, properties), {}, []
    for name, value in given.items():
        declared = properties.get(name)
        if declared is None:
            ignored.append(name)
            continue
        value = _text(value) if declared["type"] == "string" else value
        value = _object(value) if declared["type"] == "object" else value
        if not _has_value(value, declared):
            continue
        if "properties" in declared and isinstance(value, dict):
            value = _members(value, declared["properties"])
        if declared["type"] == "string" and name not in schema["required"]:
            if not isinstance(value, str) or value not in declared.get("enum", (value,)):
                ignored.append(name)
                continue
            value = value[: declared["maxLength"]]
        meant[name] = value
    return meant, [name[:MAX_IGNORED_CHARS] for name in ignored[:MAX_IGNORED]]


def _gathered(args: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """With the members of an object that is not there, but they are, put into it."""
    for name, declared in properties.items():
        members = {key: args[key] for key in declared.get("properties", ()) if key in args and key not in properties}
        if members and args.get(name) is None:
            return {**{key: value for key, value in args.items() if key not in members}, name: members}
    return dict(args)


def _text(value: object) -> object:
    """The words of a list of texts, which models write for one text; anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return value


def _object(value: object) -> object:
    """The object in a JSON string; anything else, and JSON that the database would refuse, as it is."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
        again = json.dumps(read, allow_nan=False, ensure_ascii=False)
        again.encode()
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, dict) and "\\u0000" not in again else value


def _has_value(value: object, declared: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        text = trimmed(_TEMPLATE.sub("", value)).strip("\"'`")
        return value in declared.get("enum", ()) or (bool(trimmed(text)) and text.casefold() not in NO_VALUE)
    return value is not None and value != {}


def _members(given: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Those with a value. What goes to the CRM must not hold a template, not even among other words."""
    members = {}
    for name, value in given.items():
        declared = properties.get(name, {})
        if not _has_value(value, declared) or (isinstance(value, str) and _TEMPLATE.search(value)):
            continue
        if isinstance(value, str):
            value = _address(value) if declared.get("format") == "email" else trimmed(value)
        members[name] = value
    return members


def _address(text: str) -> str:
    """The address as people and models wrap it: in brackets after a name, behind `mailto:`, before a comma."""
    text = trimmed(text).rstrip(",;.").strip("\"'` ")
    if wrapped := _IN_BRACKETS.fullmatch(text):
        text = wrapped["address"]
    if scheme := _MAILTO.match(text):
        text = text[scheme.end() :].partition("?")[0]
    return text.strip()
