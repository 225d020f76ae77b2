"""A URL as it may be shown: without the secrets that it carries."""

import re
from urllib.parse import urlsplit, urlunsplit

MASK = "••••"
#: libpq's parameters that hold a secret (PostgreSQL's documentation, 32.1.2).
_DATABASE_SECRETS = re.compile(r"(?<![^?&])((?:ssl)?password=)[^&]*")
_QUERY_VALUE = re.compile(r"=[^&]*")


def masked_url(url: str) -> str:
    """The URL with its secrets masked.

    A database's URL keeps its user and its other parameters. Of a web address the whole user part and every query
    value are masked, because tokens are put there.
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme.startswith("http"):
        netloc = f"{MASK}@{host}" if at else host
        return urlunsplit(parts._replace(netloc=netloc, query=_QUERY_VALUE.sub(f"={MASK}", parts.query)))
    name, colon, _ = user.partition(":")
    netloc = f"{name}{f':{MASK}' if colon else ''}{at}{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=_DATABASE_SECRETS.sub(rf"\g<1>{MASK}", parts.query)))
