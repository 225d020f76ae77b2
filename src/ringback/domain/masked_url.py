"""A URL as it may be shown: without the secrets that it carries."""

import re

MASK = "••••"
#: The part before the host (RFC 3986, section 3.2.1), up to the last @ of the authority.
_USER_PART = re.compile(r"(?<=://)([^/?#]*)@")
_PASSWORD = re.compile(r":.*", re.DOTALL)
#: libpq's parameters that hold a secret (PostgreSQL's documentation, 32.1.2).
_DATABASE_SECRET = re.compile(r"(?<=[?&])((?:ssl)?password=)[^&#]*")
_QUERY_VALUE = re.compile(r"=[^&#]*")


def masked_url(url: str) -> str:
    """The URL with its secrets masked.

    A database's URL keeps its user and its other parameters. Of a web address the whole user part and every query
    value are masked, because tokens are put there.
    """
    if url.lower().startswith("http"):
        address, question_mark, query = _USER_PART.sub(f"{MASK}@", url).partition("?")
        return address + question_mark + _QUERY_VALUE.sub(f"={MASK}", query)
    without_password = _USER_PART.sub(lambda part: _PASSWORD.sub(f":{MASK}", part[1]) + "@", url)
    return _DATABASE_SECRET.sub(rf"\g<1>{MASK}", without_password)
