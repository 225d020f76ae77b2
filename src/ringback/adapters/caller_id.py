"""The digits in a caller id as carriers, agents and files write it."""

import re
import unicodedata
from urllib.parse import unquote

#: Longer texts hold more than a number.
_LONGEST = 300
_BRACKETED = re.compile(r"<([^<>]*)>")
_SCHEME = re.compile(r"\s*(?:tel|sips?|callto):(?://)?", re.IGNORECASE)
_EXTENSION = re.compile(r"[\s,]*(?:ext\.?|x|#)\s*[0-9]{1,7}\s*$", re.IGNORECASE)
#: Invisible characters, dashes, brackets; blanks are dropped as well.
_SEPARATING_CATEGORIES = frozenset({"Cf", "Pd", "Ps", "Pe"})
_SEPARATORS = frozenset("./·\N{MINUS SIGN}")
_DIGITS = re.compile(r"\+?[0-9]{3,20}")
_LONG_RUN = re.compile(r"\+?[0-9]{7,}")
_IN_FULL = re.compile(r"\+[0-9]{7,15}")


def digits_in(text: str) -> str | None:
    """Digits alone, after a plus sign where one was written; None if the text holds anything else than one number.

    A display name, a scheme (`tel:`, `sip:`), a host, parameters, an extension and separators are dropped. Beside
    anything else (a name without brackets, another scheme, pauses) a number counts if it alone is there, and in full.
    """
    if len(text) > _LONGEST:
        return None
    bracketed = _BRACKETED.search(text)
    uri = unquote(bracketed[1] if bracketed else text)
    user = _SCHEME.sub("", uri, count=1).partition("@")[0].partition(";")[0]
    number = _EXTENSION.sub("", unicodedata.normalize("NFKC", user))
    digits = "".join(character for character in number if not _separates(character))
    if _DIGITS.fullmatch(digits):
        return digits
    runs = set(_LONG_RUN.findall(number))
    return next(iter(runs)) if len(runs) == 1 and all(map(_IN_FULL.fullmatch, runs)) else None


def _separates(character: str) -> bool:
    if character.isspace() or character in _SEPARATORS:
        return True
    return unicodedata.category(character) in _SEPARATING_CATEGORIES
