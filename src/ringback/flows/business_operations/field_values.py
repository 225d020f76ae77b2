"""Is this a value of that field? The catalogue's types, checked as JSON, and described so that a model can mend it."""

from typing import Any

from email_validator import EmailNotValidError, validate_email

from ringback.domain.catalog import FieldType, WritableField
from ringback.domain.instant import NotAnInstant, read_instant
from ringback.flows.business_operations.arguments import text_problem

MAX_TEXT_CHARS = 2000
#: RFC 5321, 4.5.3.1.3: a path has 256 characters, two of them brackets.
MAX_EMAIL_CHARS = 254
#: A double holds every whole number up to here, so no reader on the way changes it.
MAX_NUMBER = 2**53


class UnfitValue(ValueError):
    """The value is none of the field's; the message says what it has to be."""


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


def read_value(field: WritableField, value: object) -> object:
    """The value as it is kept: addresses and instants in their usual spelling, all else as it is. Raises UnfitValue."""
    match field.type:
        case FieldType.TEXT:
            if problem := text_problem(value, MAX_TEXT_CHARS):
                raise UnfitValue(problem)
            return value
        case FieldType.EMAIL:
            return _address(value)
        case FieldType.NUMBER:
            return _fit(value, _is_number(value), "must be a number, without currency or separators")
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
    """Only its syntax is checked: a look-up in the DNS would keep a person waiting and knows no mailbox."""
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


def _is_number(value: object) -> bool:
    # Not true and false, which are numbers to Python; and the comparison is false for what is not finite.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
