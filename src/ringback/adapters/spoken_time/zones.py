"""The time zone that a phrase names beside its clock time: "3 PM Eastern", "15:00 EST", "9 Phoenix time", "my time"."""

import re

from ringback.adapters.spoken_time.questions import ASK_ZONE, Unclear
from ringback.domain.speech import say_zone
from ringback.domain.time_zone import CHICAGO, ZoneAnswer, clock_of
from ringback.domain.zone_names import resolve_zone_name

_OWN = re.compile(r"\b(?:(?:in )?(?:my|our) (?:own )?(?:local )?time(?: ?zone)?|local time|(?:over )?here)\b")
_OTHERS = re.compile(r"\byour (?:local )?time(?: ?zone)?\b")
_NAMED = re.compile(
    r"\b(?:(?:in|on) )?(?:the )?(?:us )?(?P<name>eastern|central|mountain|pacific|alaskan?|hawaiian?|atlantic|"
    r"[ecmp]t|[ecmpah][sd]t|ak[sd]t|utc)\b(?P<time>(?: (?:standard|daylight|savings?|time|zone|timezone)\b)*)"
)
_PLACE = re.compile(r"\b(?P<place>(?:[a-z]+ ){1,3})time\b")


def without_zone(plain: str, near: tuple[str, ...]) -> tuple[str, str | None]:
    """The words without the zone, and its name; None for the person's own. `near`: where the person may be.

    Raises Unclear if the words may mean several zones.
    """
    if _OTHERS.search(plain):
        raise Unclear(ASK_ZONE)
    text, is_own = _OWN.subn(" ", plain)
    rest, answer = _named(text, near)
    if answer is None:
        return " ".join(rest.split()), None
    if answer.zone is None:
        choices = " or ".join(map(say_zone, answer.candidates))
        raise Unclear(f"Is that {choices}?" if len(answer.candidates) > 1 else ASK_ZONE)
    if is_own and near and clock_of(answer.zone) not in map(clock_of, near):
        raise Unclear(ASK_ZONE)
    return " ".join(rest.split()), answer.zone


def _named(text: str, near: tuple[str, ...]) -> tuple[str, ZoneAnswer | None]:
    """The words around a zone, and what it may mean; None if there is none."""
    if match := _NAMED.search(text):
        return f"{text[: match.start()]} {text[match.end() :]}", _clock(match["name"], match["time"], near)
    if match := _PLACE.search(text):
        words = match["place"].split()
        # The shortest name first, because the words before it belong to the day or the clock time: "3 am hawaii time".
        for start in reversed(range(len(words))):
            name = " ".join(words[start:])
            answer = resolve_zone_name(name, near) if len(name) > 2 else ZoneAnswer()
            if answer != ZoneAnswer():
                return f"{text[: match.start()]} {' '.join(words[:start])} {text[match.end() :]}", answer
    return text, None


def _clock(name: str, time: str, near: tuple[str, ...]) -> ZoneAnswer:
    if name == "utc":
        return ZoneAnswer("UTC")
    if name == "ct":
        return ZoneAnswer(CHICAGO)  # beside a clock time never Connecticut
    return resolve_zone_name(f"{name.upper() if len(name) < 5 else name}{time}", near)
