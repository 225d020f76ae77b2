"""The time zone that a phrase names beside its clock time: "3 PM Eastern", "15:00 EST", "9 Phoenix time", "my time"."""

import re

from ringback.adapters.spoken_time.questions import ASK_ZONE, Unclear
from ringback.domain.speech import say_zone
from ringback.domain.time_zone import CHICAGO
from ringback.domain.zone_names import resolve_zone_name

_OWN = re.compile(r"\b(?:(?:in )?(?:my|our) (?:own )?(?:local )?time(?: ?zone)?|local time|(?:over )?here)\b")
_OTHERS = re.compile(r"\byour (?:local )?time(?: ?zone)?\b")
_NAMED = re.compile(
    r"\b(?:(?:in|on) )?(?:the )?(?:us )?(?P<name>eastern|central|mountain|pacific|alaskan?|hawaiian?|atlantic|"
    r"[ecmp]t|[ecmpah][sd]t|ak[sd]t|utc)\b(?P<time>(?: (?:standard|daylight|savings?|time|zone|timezone)\b)*)"
)
_PLACE = re.compile(r"\b(?:in )?(?P<place>(?:[a-z]+ ){1,3})time\b")


def without_zone(plain: str, near: tuple[str, ...]) -> tuple[str, str | None]:
    """The words without the zone, and its name; None for the person's own. `near`: where the person may be.

    Raises Unclear if the words may mean several zones.
    """
    if _OTHERS.search(plain):
        raise Unclear(ASK_ZONE)
    text = _OWN.sub(" ", plain)
    if match := _NAMED.search(text):
        zone = _resolved(match["name"], match["time"], near)
        return " ".join(f"{text[: match.start()]} {text[match.end() :]}".split()), zone
    if match := _PLACE.search(text):
        words = match["place"].split()
        for start in range(len(words)):
            name = " ".join(words[start:])
            zone = resolve_zone_name(name, near).zone if len(name) > 2 else None
            if zone is not None:
                before = f"{text[: match.start()]} {' '.join(words[:start])}"
                return " ".join(f"{before} {text[match.end() :]}".split()), zone
    return " ".join(text.split()), None


def _resolved(name: str, time: str, near: tuple[str, ...]) -> str:
    if name == "utc":
        return "UTC"
    if name == "ct":
        return CHICAGO  # beside a clock time never Connecticut
    answer = resolve_zone_name(f"{name.upper() if len(name) < 5 else name}{time}", near)
    if answer.zone is None:
        choices = " or ".join(map(say_zone, answer.candidates))
        raise Unclear(f"Is that {choices}?" if len(answer.candidates) > 1 else ASK_ZONE)
    return answer.zone
