"""Invisible characters: they make different names look alike, and empty values look filled in."""

import re
import unicodedata

#: Letters and marks without a visible shape: U+034F, the Hangul fillers, the Khmer inherent vowels, the Braille blank
#: and the variation selectors. Unicode does not class them as formats or blanks.
_DRAWN_AS_NOTHING = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")
#: Controls, formats, private use, unassigned; blanks and line ends of every kind.
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Zs", "Zl", "Zp"})


def is_unseen(char: str) -> bool:
    """Whether the character is invisible. The ordinary blank is one of them."""
    return unicodedata.category(char) in _UNSEEN or bool(_DRAWN_AS_NOTHING.match(char))


def has_unseen(text: str) -> bool:
    """Whether the text has an invisible character other than the ordinary blank."""
    return any(char != " " and is_unseen(char) for char in text)


def trimmed(text: str) -> str:
    """The text without invisible characters at its ends."""
    shown = [position for position, char in enumerate(text) if not is_unseen(char)]
    return text[shown[0] : shown[-1] + 1] if shown else ""
