"""The Retry-After header of a provider or of Engage (RFC 9110, 10.2.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: No header delays a task or a delivery longer than this.
MAX_RETRY_AFTER_S = 3600.0


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the wait in seconds, from 0 to an hour. None: the header is absent or cannot be read.

    The header is a number of seconds, which may have decimals, or an HTTP date.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
