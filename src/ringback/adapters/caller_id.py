"""Find the digits in a caller id as carriers, agents and files write it."""

import re
import unicodedata
from urllib.parse import unquote

#: A longer text holds more than a number.
_LONGEST = 300
_BRACKETED = re.compile(r"<([^<>]*)>")
_SCHEME = re.compile(r"\s*(?:tel|sips?|callto):(?://)?", re.IGNORECASE)
_EXTENSION = re.compile(r"[\s,]*(?:ext\.?|x|#)\s*[0-9]{1,7}\s*$", re.IGNORECASE)
#: Invisible characters, dashes and brackets. Blanks are dropped too.
_SEPARATING_CATEGORIES = frozenset({"Cf", "Pd", "Ps", "Pe"})
_SEPARATORS = frozenset("./·\N{MINUS SIGN}")
_DIGITS = re.compile(r"\+?[0-9]{3,20}")
_LONG_RUN = re.compile(r"\+?[0-9]{7,}")
_IN_FULL = re.compile(r"\+[0-9]{7,15}")


def digits_in(text: str) -> str | None:
    """Return the digits, with a leading plus sign if one was written. None: the text does not hold exactly one number.

    A display name, a scheme (`tel:`, `sip:`), a host, parameters, an extension and separators are dropped. Beside other
    text (a name without brackets, another scheme, pauses) a number counts only if it is complete and the only one.
    """
    if len(text) > _LONGEST:
        return None
    bracketed = _BRACKETED.search(text)
    uri = unquote(bracketed[1] if bracketed else text)
    user = _SCHEME.sub("", uri, count=1).partition("@")[0].partition(";")[0]
    number = _EXTENSION.sub("", unicodedata.normalize("NFKC", user))
    digits = "".join(
        character
        for character in number
        if not character.isspace()
        and character not in _SEPARATORS
        and unicodedata.category(character) not in _SEPARATING_CATEGORIES
    )
    if _DIGITS.fullmatch(digits):
        return digits
    runs = set(_LONG_RUN.findall(number))
    return next(iter(runs)) if len(runs) == 1 and all(map(_IN_FULL.fullmatch, runs)) else None
