"""How much of what Engage hands in about a person is kept: the numbers, and the checks that hold them."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from ringback.domain.plain_text import has_unseen

RESERVED_PREFIX = "ringback_"
MAX_NAME_CHARS = 64
#: Of fields, of variables and of metadata, each.
MAX_NAMES = 100
MAX_FIELDS_BYTES = 16 * 1024
MAX_VARIABLE_CHARS = 8_000
MAX_VARIABLES_BYTES = 32 * 1024
#: Retell's own limit, of which the ids that we add take a few hundred bytes more.
MAX_METADATA_BYTES = 50_000


def contact_id(text: str) -> str:
    """An id that is a segment of the CRM's paths. Raises ValueError("code: sentence"), as all validators here do.

    A server resolves "." and ".." away and splits at slashes, so that nothing about such a contact could be delivered.
    """
    if text in (".", "..") or "/" in text or "\\" in text:
        raise ValueError("not_a_path_segment: A contact_id is not `.` or `..` and has no slash.")
    return no_unseen(text)


def no_unseen(text: str) -> str:
    """Two ids that look alike would be two people, and an opt-out of the one would not reach the other."""
    if has_unseen(text) or text != text.strip():
        raise ValueError("bad_characters: Characters that show nothing and blanks at the ends are not allowed.")
    return text


def _name(text: str) -> str:
    if not 0 < len(text) <= MAX_NAME_CHARS:
        raise ValueError(f"bad_name: A name has 1 to {MAX_NAME_CHARS} characters.")
    return no_unseen(text)


def _own_key(name: str) -> str:
    if name.startswith(RESERVED_PREFIX):
        raise ValueError(f"reserved_key: Keys that begin with {RESERVED_PREFIX} are not allowed.")
    return _name(name)


def _said(value: object) -> object:
    """The provider takes string variables only; numbers and booleans are written as JSON writes them."""
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


_Name = Annotated[str, AfterValidator(_name)]
Fields = Annotated[dict[_Name, Any], _at_most(MAX_FIELDS_BYTES)]
Variables = Annotated[dict[_Name, Annotated[str, BeforeValidator(_said)]], _at_most(MAX_VARIABLES_BYTES)]
Metadata = Annotated[dict[Annotated[str, AfterValidator(_own_key)], Any], _at_most(MAX_METADATA_BYTES)]
