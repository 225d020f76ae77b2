"""Is this a value of that field? The catalogue's types, checked as JSON, and described so that a model can mend it."""

import re
from datetime import datetime
from typing import Any

from ringback.domain.catalog import FieldType, WritableField
from ringback.flows.business_operations.arguments import text_problem

MAX_TEXT_CHARS = 2000
#: RFC 5321, 4.5.3.1.3: a path has 256 characters, two of them brackets.
MAX_EMAIL_CHARS = 254
#: A double holds every whole number up to here, so no reader on the way changes it.
MAX_NUMBER = 2**53

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def schema_of(field: WritableField) -> dict[str, Any]:
    """The JSON schema of the field's values."""
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


def problem_with(field: WritableField, value: object) -> str | None:
    """What the value has to be, if it is not; None if it is."""
    match field.type:
        case FieldType.TEXT:
            return text_problem(value, MAX_TEXT_CHARS)
        case FieldType.EMAIL:
            return None if _is_email(value) else "must be an email address, such as ada@example.com"
        case FieldType.NUMBER:
            return None if _is_number(value) else "must be a number, without currency or separators"
        case FieldType.BOOLEAN:
            return None if isinstance(value, bool) else "must be true or false"
        case FieldType.INSTANT:
            return None if _is_instant(value) else "must be a time with its offset, such as 2026-12-01T17:00:00Z"
        case FieldType.CHOICE:
            return None if value in field.choices else f"must be one of: {', '.join(field.choices)}"


def _is_email(value: object) -> bool:
    return isinstance(value, str) and not text_problem(value, MAX_EMAIL_CHARS) and bool(_EMAIL.fullmatch(value))


def _is_number(value: object) -> bool:
    # Not true and false, which are numbers to Python; and the comparison is false for what is not finite.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def _is_instant(value: object) -> bool:
    if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
