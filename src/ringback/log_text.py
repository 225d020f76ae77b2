"""The formats of log lines, and the last guard against secrets in them."""

import re
from typing import Literal

LogFormat = Literal["console", "json"]

HIDDEN = "[hidden]"

# A plus sign, as typed or URL-encoded, before 7 to 15 digits. Offsets such as +00:00 begin with zero or are too short.
_PHONE = re.compile(r"(?:\+|%2[Bb])[1-9][0-9]{6,14}(?![0-9])")
# Retell's keys, Standard Webhooks secrets, Ringback's API keys, any bearer token, a password within a URL.
_SECRET = re.compile(
    r"\b(?:key_|whsec_|rbk_)[A-Za-z0-9+/=_\-]{8,}"
    r"|(?<=bearer )\s*[^\s\"',;]+"
    r"|(?<=://)[^\s:/@]*:[^\s@]+(?=@)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text without phone numbers and secrets. Callers still must not write them."""
    return _PHONE.sub(HIDDEN, _SECRET.sub(HIDDEN, text))
