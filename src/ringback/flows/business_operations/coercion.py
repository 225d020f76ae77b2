"""Values that a model spells as text: numbers, yes and no, and choices. What has two readings is left as it is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Digits with correct thousands commas or none, after an optional minus and dollar sign. Not a fraction of three digits
#: alone: "2.000" is two in one country and two thousand in another. Not a leading zero: that is an identifier.
_NUMBER = re.compile(r"(?P<minus>-?)\$? ?(?P<whole>0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*)(?P<part>\.\d+)?", re.ASCII)
#: More than any number that a field takes. Python refuses to convert thousands of digits.
MAX_NUMBER_CHARS = 40
#: Longer words ("sure", "not yet") are no consent and no refusal.
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def coerced(value: object, declared: Mapping[str, Any]) -> object:
    """The value as the JSON schema wants it, where its text has one reading. Else the value itself."""
    if not isinstance(value, str):
        return value
    if "enum" in declared:
        return _choice(value, declared["enum"])
    match declared.get("type"):
        case "number":
            return _number(value)
        case "boolean":
            return _BOOLEANS.get(value.strip(" .!").casefold(), value)
    return value


def _number(text: str) -> object:
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= MAX_NUMBER_CHARS else None
    if found is None or (found["part"] is not None and len(found["part"]) == 4 and "," not in found["whole"]):
        return text
    digits = found["minus"] + found["whole"].replace(",", "")
    return float(digits + found["part"]) if found["part"] else int(digits)


def _choice(text: str, choices: Sequence[str]) -> str:
    """The one choice with the same letters and digits, whatever the case, the blanks and the hyphens."""
    if text in choices:
        return text
    meant = [choice for choice in choices if _folded(choice) == _folded(text)]
    return meant[0] if len(meant) == 1 and _folded(text) else text


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
