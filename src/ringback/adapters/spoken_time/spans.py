"""Spans that count from now: "in two hours", "30 minutes", "an hour and a half from now"."""

import re
from datetime import timedelta

_COUNT = r"(?P<%s>an?|\d{1,4}(?:\.\d{1,2})?|(?:a )?couple(?: of)?)"
_HOURS, _MINUTES = r"(?:hours?|hrs?)", r"(?:minutes?|mins?)"
_SPANS = (
    re.compile(rf"{_COUNT % 'hours'} ?{_HOURS}(?P<half> and (?:a half|30 minutes))?"),
    re.compile(rf"{_COUNT % 'hours'}(?P<half> and a half) {_HOURS}"),
    re.compile(rf"(?:{_COUNT % 'hours'} ?{_HOURS}(?: and)? )?{_COUNT % 'minutes'} ?{_MINUTES}"),
    re.compile(r"(?P<half>half an hour|a half hour|half hour)"),
    re.compile(r"(?P<quarters>a quarter|3 quarters) of an hour"),
)
_QUARTERS_MIN = {"a quarter": 15, "3 quarters": 45}


def read_span(plain: str) -> timedelta | None:
    """None if the words are anything else."""
    length = re.sub(r"^in | (?:from now|later|time)$", "", plain)
    for pattern in _SPANS:
        if match := pattern.fullmatch(length):
            parts = match.groupdict()
            hours, minutes = (count(parts.get(name)) for name in ("hours", "minutes"))
            extra = 30 if parts.get("half") else _QUARTERS_MIN.get(parts.get("quarters") or "", 0)
            return timedelta(hours=hours, minutes=minutes + extra)
    return None


def count(word: str | None) -> float:
    """ "an" is 1, "a couple of" is 2, nothing is 0."""
    if word is None:
        return 0
    if "couple" in word:
        return 2
    return 1 if word in ("a", "an") else float(word)
