"""JSON that PostgreSQL can store, and that every later reader can walk."""

import math
import re
from typing import Any

#: Real bodies are five deep; every recursive reader is safe at this depth.
MAX_DEPTH = 32

# json.loads joins proper surrogate pairs, so any surrogate that remains is a lone one.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable_text(text: str) -> bool:
    """Whether the text has neither NUL nor half of a surrogate pair."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    # A tenth of the time of a search.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(value: Any) -> Any:
    """Return the JSON value without the parts that PostgreSQL rejects. Raises RecursionError for extreme depth.

    These are NUL, half a surrogate pair (a transcript cut inside an emoji), and numbers that are not finite.
    """
    if isinstance(value, str):
        return value if is_storable_text(value) else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def is_deeper_than(most: int, value: Any) -> bool:
    """Whether more than `most` objects and arrays of a JSON value are nested in each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        if not level:
            return False
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inner for item in items if type(item) in (dict, list)]
    return bool(level)
