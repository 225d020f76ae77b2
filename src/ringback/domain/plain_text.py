"""Invisible characters: they make different names look alike, and empty values look filled in."""

import re

#: Letters and marks without a visible shape: U+034F, the Hangul fillers, the Khmer inherent vowels, the Braille blank
#: and the variation selectors. Unicode does not class them as formats or blanks.
_DRAWN_AS_NOTHING = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")


def is_unseen(char: str) -> bool:
    """Whether the character is invisible. The ordinary blank is one of them, and half of a surrogate pair is none."""
    return char == " " or (has_unseen(char) and not "\ud800" <= char <= "\udfff")


def has_unseen(text: str) -> bool:
    """Whether the text has an invisible character other than the ordinary blank, or half of a surrogate pair.

    Unprintable are controls, formats, private use, unassigned, and blanks and line ends of every other kind.
    """
    return not text.isprintable() or bool(_DRAWN_AS_NOTHING.search(text))


def trimmed(text: str) -> str:
    """The text without invisible characters at its ends."""
    first, end = 0, len(text)
    while first < end and is_unseen(text[first]):
        first += 1
    while first < end and is_unseen(text[end - 1]):
        end -= 1
    return text[first:end]
