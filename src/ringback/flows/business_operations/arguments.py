"""Arguments of actions: declared as a JSON schema, and read as a program or a model sends them."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from email_validator import EmailNotValidError, validate_email

from ringback.domain.catalog import FieldType, WritableField
from ringback.domain.instant import NotAnInstant, read_instant
from ringback.domain.plain_text import trimmed
from ringback.domain.storable import is_storable_text
from ringback.flows.business_operations.action import ActionError
from ringback.flows.business_operations.coercion import coerced

NOT_NOTED_SAY = "Sorry, I could not note that."

Properties = Mapping[str, dict[str, Any]]


def text(max_chars: int, description: str, choices: Iterable[str] | None = None) -> dict[str, Any]:
    """The schema of one text argument."""
    allowed = {} if choices is None else {"enum": list(choices)}
    return {"type": "string", "maxLength": max_chars, "description": description, **allowed}


def arguments(properties: Properties, *required: str) -> dict[str, Any]:
    """The schema of all arguments of one action."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def read_texts(args: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    """The arguments that the schema declares as texts, without null and blank ones.

    Does not check required arguments and choices: the action knows how to ask for them. Raises ActionError
    (`invalid_args`) with {argument: why} for every unknown argument and unusable text.
    """
    properties = schema["properties"]
    errors = unknown_arguments(args, schema)
    texts: dict[str, str] = {}
    for name, declared in properties.items():
        value = args.get(name)
        if value is None or declared["type"] != "string":
            continue
        problem = text_problem(value, declared["maxLength"])
        if problem:
            errors[name] = problem
        elif value.strip():
            texts[name] = value.strip()
    refuse_if_any(errors)
    return texts


def unknown_arguments(args: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    allowed = ", ".join(schema["properties"])
    return {name: f"unknown; allowed: {allowed}" for name in args if name not in schema["properties"]}


def refuse_if_any(errors: Mapping[str, str], say: str = NOT_NOTED_SAY) -> None:
    if errors:
        raise ActionError("invalid_args", say, {"errors": dict(errors)})


def text_problem(value: object, max_chars: int) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if len(value) > max_chars:
        return f"longer than {max_chars} characters"
    if not is_storable_text(value):
        return "holds characters that are no text"
    return None


MAX_TEXT_CHARS = 2000
#: RFC 5321, 4.5.3.1.3: a path has 256 characters, two of them brackets.
MAX_EMAIL_CHARS = 254
#: A double represents every whole number up to here, so no reader changes it.
MAX_NUMBER = 2**53


class UnfitValue(ValueError):
    """The value does not fit the field. The message says how it must look."""


def schema_of(field: WritableField) -> dict[str, Any]:
    """The JSON schema of the field's values, with its description for a model."""
    return _type_schema(field) | ({"description": field.description} if field.description else {})


def _type_schema(field: WritableField) -> dict[str, Any]:
    match field.type:
        case FieldType.TEXT:
            return {"type": "string", "maxLength": MAX_TEXT_CHARS}
        case FieldType.EMAIL:
            return {"type": "string", "format": "email", "maxLength": MAX_EMAIL_CHARS}
        case FieldType.NUMBER:
            return {"type": "number"}
        case FieldType.BOOLEAN:
            return {"type": "boolean"}
        case FieldType.INSTANT:
            return {"type": "string", "format": "date-time"}
        case FieldType.CHOICE:
            return {"type": "string", "enum": list(field.choices)}


def read_value(field: WritableField, value: object) -> object:
    """The value to store: addresses and instants are normalised, all else is unchanged. Raises UnfitValue."""
    match field.type:
        case FieldType.TEXT:
            if problem := text_problem(value, MAX_TEXT_CHARS):
                raise UnfitValue(problem)
            return value
        case FieldType.EMAIL:
            return _address(value)
        case FieldType.NUMBER:
            # True and false are numbers in Python, but not here. The comparison is false for infinity and NaN.
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
            return _fit(value, is_number, "must be a number, without currency or separators")
        case FieldType.BOOLEAN:
            return _fit(value, isinstance(value, bool), "must be true or false")
        case FieldType.INSTANT:
            return _instant(value)
        case FieldType.CHOICE:
            return _fit(value, value in field.choices, f"must be one of: {', '.join(field.choices)}")


def _fit(value: object, is_fit: bool, otherwise: str) -> object:
    if not is_fit:
        raise UnfitValue(otherwise)
    return value


def _address(value: object) -> str:
    """Check only the syntax. A DNS look-up would make the person wait, and does not prove a mailbox."""
    try:
        if not isinstance(value, str) or len(value) > MAX_EMAIL_CHARS:
            raise EmailNotValidError
        return validate_email(value.strip(" "), check_deliverability=False).normalized
    except EmailNotValidError:
        raise UnfitValue("must be one email address, such as ada@example.com") from None


def _instant(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise NotAnInstant
        read_instant(value.strip(" "))
    except NotAnInstant:
        raise UnfitValue("must be a time with its offset, such as 2026-12-01T17:00:00Z") from None
    # Other readers of the same RFC are stricter about the case of T and Z.
    return value.strip(" ").upper()


#: Words that models write for a missing value.
NO_VALUE = frozenset({"null", "none", "nil", "undefined", "n/a", "n.a."})
#: A variable that the platform could not fill in.
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"[^<>@]*<(?P<address>[^<>]*)>")
#: Limits for the names of ignored arguments in a reply. They help to repair a prompt.
MAX_IGNORED, MAX_IGNORED_CHARS = 20, 64


def as_meant(args: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read a model's arguments: the declared ones with a value, and the names of unknown or unusable ones.

    An optional text must not stop an action that a person asked for. It is cut or left out.
    """
    properties = schema["properties"]
    given, meant, ignored = dict(args), {}, []
    for name, declared in properties.items():
        members = {key: args[key] for key in declared.get("properties", ()) if key in args and key not in properties}
        if members and args.get(name) is None:
            # The model wrote the members of a missing object at the top level.
            given = {key: value for key, value in args.items() if key not in members} | {name: members}
            break
    for name, value in given.items():
        declared = properties.get(name)
        if declared is None:
            ignored.append(name)
            continue
        if declared["type"] == "string" and isinstance(value, list) and value:
            # Models write a list of texts for one text.
            value = " ".join(value) if all(isinstance(one, str) for one in value) else value
        value = coerced(value, declared) if declared["type"] == "string" else value
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


def _object(value: object) -> object:
    """The object in a JSON string. Other values, and JSON that the database rejects, are unchanged."""
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
    """The members with a value. Values for the CRM must not contain a template, even among other words."""
    members = {}
    for name, value in given.items():
        declared = properties.get(name, {})
        if not _has_value(value, declared) or (isinstance(value, str) and _TEMPLATE.search(value)):
            continue
        if isinstance(value, str):
            value = trimmed(value)
            if declared.get("format") == "email":
                # As people and models write it: in brackets after a name, after `mailto:`, before a comma.
                value = value.rstrip(",;.").strip("\"'` ")
                wrapped = _IN_BRACKETS.fullmatch(value)
                value = wrapped["address"] if wrapped else value
                scheme = _MAILTO.match(value)
                value = value[scheme.end() :].partition("?")[0] if scheme else value
                value = value.strip()
        members[name] = coerced(value, declared)
    return members
