"""The types of request fields: which text, number and time is accepted, and how much of it."""

import json
import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Path
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from ringback.domain.instant import NotAnInstant, read_instant
from ringback.domain.phone_number import E164, NumberPlan
from ringback.domain.plain_text import has_unseen
from ringback.web.problems import not_found

RESERVED_PREFIX = "ringback_"
MAX_NAME_CHARS = 64
#: Of fields, of variables and of metadata, each.
MAX_NAMES = 100
MAX_FIELDS_BYTES = 16 * 1024
MAX_VARIABLE_CHARS = 8_000
MAX_VARIABLES_BYTES = 32 * 1024
#: Retell's own limit, of which the ids that we add take a few hundred bytes more.
MAX_METADATA_BYTES = 50_000
MAX_PAGE = 200

ID = "[0-9A-Za-z_-]{1,64}"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IDEMPOTENCY_KEY = r"[\x20-\x7e]{1,255}"


def known_id(text: str, what: str) -> str:
    """Check an id from a path. Raises Problem 404 for a text that no id of ours looks like."""
    if not re.fullmatch(ID, text):
        raise not_found(what)
    return text


def read_moment(value: object) -> datetime:
    """Read an RFC 3339 time as UTC. Raises ValueError("code: sentence"), as all validators here do."""
    if not isinstance(value, str):
        raise ValueError("wrong_type: This must be a string with a time, for example 2026-12-01T17:00:00Z.")
    try:
        return read_instant(value)
    except NotAnInstant as error:
        if error.lacks_offset:
            raise ValueError("no_offset: A time carries an offset, for example 2026-12-01T17:00:00Z.") from None
        raise ValueError("not_a_time: This is no RFC 3339 time, for example 2026-12-01T17:00:00Z.") from None


def _phone(text: str, info: ValidationInfo) -> str:
    if not E164.fullmatch(text):
        raise ValueError("not_e164: A phone number is + and 7 to 15 digits, without spaces (E.164).")
    numbers: NumberPlan | None = info.context
    assert numbers is not None, "models with a phone are read with the number plan"
    phone = numbers.canonical(text)
    if phone is None:
        raise ValueError("impossible_number: No country has a number of this form.")
    return phone


def _plain(text: str) -> str:
    if _CONTROL.search(text) or text != text.strip():
        raise ValueError("bad_characters: Control characters and spaces at the ends are not allowed.")
    return text


def _matching(pattern: str, problem: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(problem)
        return text

    return AfterValidator(check)


def _path_segment(text: str) -> str:
    """Check that the id can be a segment of the CRM's paths.

    A server removes "." and ".." and splits at slashes, so nothing about such a contact could be delivered.
    """
    if text in (".", "..") or "/" in text or "\\" in text:
        raise ValueError("not_a_path_segment: A contact_id is not `.` or `..` and has no slash.")
    return _visible(text)


def _visible(text: str) -> str:
    """Reject invisible characters: two ids that look alike would be two people, and an opt-out would reach only one."""
    if has_unseen(text) or text != text.strip():
        raise ValueError("bad_characters: Characters that show nothing and blanks at the ends are not allowed.")
    return text


def _name(text: str) -> str:
    if not 0 < len(text) <= MAX_NAME_CHARS:
        raise ValueError(f"bad_name: A name has 1 to {MAX_NAME_CHARS} characters.")
    return _visible(text)


def _own_key(name: str) -> str:
    if name.startswith(RESERVED_PREFIX):
        raise ValueError(f"reserved_key: Keys that begin with {RESERVED_PREFIX} are not allowed.")
    return _name(name)


def _variable(value: object) -> object:
    """Write numbers and booleans as JSON does, because the provider takes string variables only."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        raise ValueError("wrong_type: A variable is a string, a number or a boolean.")
    if len(value) > MAX_VARIABLE_CHARS:
        raise ValueError(f"too_long: A variable has at most {MAX_VARIABLE_CHARS} characters.")
    return value


def _at_most(max_bytes: int) -> AfterValidator:
    def check(given: dict[str, Any]) -> dict[str, Any]:
        if len(given) > MAX_NAMES:
            raise ValueError(f"too_many: At most {MAX_NAMES} names are allowed.")
        if len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()) > max_bytes:
            raise ValueError(f"too_large: This takes at most {max_bytes} bytes as JSON.")
        return given

    return AfterValidator(check)


_BAD_CURSOR = "bad_cursor: A cursor is passed on as it was received."

Phone = Annotated[str, AfterValidator(_phone), Field(json_schema_extra={"pattern": f"^{E164.pattern}$"})]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
#: The id of a contact that may be new. A contact stored before this check existed is still found by its Name.
ContactId = Annotated[Name, AfterValidator(_path_segment)]
VisibleName = Annotated[Name, AfterValidator(_visible)]
Sentence = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
Moment = Annotated[datetime, BeforeValidator(read_moment)]
#: The id of the last row of a page. In a list by id any other text would name some place too, and a wrong one.
Cursor = Annotated[str, _matching(UUID, _BAD_CURSOR)]
AuditCursor = Annotated[str, _matching("[0-9]{1,18}", _BAD_CURSOR)]
EventCursor = Annotated[str, _matching("[0-9]{1,18}-[0-9]{1,18}", _BAD_CURSOR)]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE, strict=False)]
_FieldName = Annotated[str, AfterValidator(_name)]
Fields = Annotated[dict[_FieldName, Any], _at_most(MAX_FIELDS_BYTES)]
Variables = Annotated[dict[_FieldName, Annotated[str, BeforeValidator(_variable)]], _at_most(MAX_VARIABLES_BYTES)]
Metadata = Annotated[dict[Annotated[str, AfterValidator(_own_key)], Any], _at_most(MAX_METADATA_BYTES)]
CallId = Annotated[str, Path(examples=["01a20491-7446-7438-8476-b9da1cc0a52a"])]
SuppressionId = Annotated[str, Path(examples=["01a20491-a1b2-7c3d-8e4f-5a6b7c8d9e0f"])]
ExportName = Annotated[str, Path(examples=["attempts.csv"])]
ActionName = Annotated[str, Path(examples=["note_writeback"])]
#: In the body of an action. The header's form of it is IdempotencyKey.
BodyIdempotencyKey = Annotated[str, Field(pattern=f"^{_IDEMPOTENCY_KEY}$")]
IdempotencyKey = Annotated[
    str | None,
    _matching(_IDEMPOTENCY_KEY, "invalid: A key is 1 to 255 printable ASCII characters."),
    Header(
        alias="Idempotency-Key",
        description="The same key with the same request gets the first answer again.",
        json_schema_extra={"pattern": f"^{_IDEMPOTENCY_KEY}$", "examples": ["order-17"]},
    ),
]
