"""Text arguments as a model or a program sent them: the usable ones out, or every problem at once."""

from collections.abc import Mapping
from typing import Any

from ringback.flows.business_operations.action import ActionRefused


def read_texts(args: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, str]:
    """The arguments named in `limits`, each with its greatest length in characters; null and blank ones are left out.

    Raises ActionRefused (`invalid_args`) with {argument: why} for all that is unknown or not usable text.
    """
    errors = {name: f"unknown; allowed: {', '.join(limits)}" for name in args if name not in limits}
    texts: dict[str, str] = {}
    for name, limit in limits.items():
        value = args.get(name)
        if value is None:
            continue
        problem = _problem(value, limit)
        if problem:
            errors[name] = problem
        elif value.strip():
            texts[name] = value.strip()
    if errors:
        raise ActionRefused("invalid_args", "Sorry, I could not note that.", {"errors": errors})
    return texts


def _problem(value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if len(value) > limit:
        return f"longer than {limit} characters"
    # PostgreSQL stores neither.
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        return "holds characters that are no text"
    return None
