"""Mask phone numbers in texts: +1 415 ••• 0100."""

import re
from typing import Any

from ringback.domain.contact import ERASED

_PHONE = re.compile(r"(?<![\w+])(?:\+|%2B)[1-9]\d{6,14}(?!\d)")
#: Links to rows, whose only number is a caller id of our own. Masked, they would lead nowhere.
_LINKS = frozenset({"rows_url", "denominator_rows_url"})


def masked(phone: str) -> str:
    """Mask a number. The word for the number of an erased person stays as it is."""
    if phone == ERASED:
        return phone
    digits = phone.removeprefix("+").removeprefix("%2B")
    if len(digits) == 11 and digits[0] == "1":
        return f"+1 {digits[1:4]} ••• {digits[-4:]}"
    return f"+{digits[:2]} ••• {digits[-2:]}"


def hide_phones(text: str) -> str:
    """Mask each phone number of a text. A number without + is not recognised."""
    if "+" not in text and "%2B" not in text:
        return text  # the search takes ten times as long, and most texts are such
    return _PHONE.sub(lambda found: masked(found[0]), text)


def hide_phones_in(value: Any) -> Any:
    """Return JSON with the numbers of every text masked, names of members included."""
    if isinstance(value, str):
        return hide_phones(value)
    if isinstance(value, dict):
        return {hide_phones(name): one if name in _LINKS else hide_phones_in(one) for name, one in value.items()}
    return [hide_phones_in(one) for one in value] if isinstance(value, list | tuple) else value
