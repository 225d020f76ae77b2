"""Arguments: declared as a JSON schema, and read as a model or a program sent them."""

from collections.abc import Iterable, Mapping
from typing import Any

from ringback.flows.business_operations.action import ActionError

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
    """The arguments that the schema declares as texts; null and blank ones are left out. Which of them are required,
    and from what choice, is for the action to say: it knows what to ask.

    Raises ActionError (`invalid_args`) with {argument: why} for all that is unknown or not usable text.
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
    # PostgreSQL stores neither.
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        return "holds characters that are no text"
    return None
