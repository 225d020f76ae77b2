"""Resolve the name of a time zone to a region, as systems write it or as people say it."""

import re
from functools import lru_cache

from ringback.domain.places import ELSEWHERE, IN_STATES, NEEDS_ITS_STATE, STATE_CODES, ZONES_OF_STATES
from ringback.domain.time_zone import (
    ANCHORAGE,
    CHICAGO,
    DENVER,
    HONOLULU,
    LOS_ANGELES,
    NEW_YORK,
    PHOENIX,
    ZoneAnswer,
    abbreviations_of,
    clock_of,
    find_region,
    region_zone,
)
from ringback.domain.windows_zones import WINDOWS_ZONES

#: Longer text is not read. The longest IANA name has 32 characters.
MAX_TEXT = 80
HALIFAX, PUERTO_RICO, ST_JOHNS = "America/Halifax", "America/Puerto_Rico", "America/St_Johns"

# Abbreviations as systems write them. Some are fixed offsets as IANA names, which "EST" never means here.
_ABBREVIATIONS: dict[tuple[str, ...], str] = {
    (NEW_YORK,): "et|est|edt|est5edt|est/edt",
    (CHICAGO,): "cst|cdt|cst6cdt|cst/cdt",
    (DENVER,): "mdt|mst7mdt|mst/mdt",
    # Arizona keeps MST all year, the other Mountain states only in winter.
    (DENVER, PHOENIX): "mst|mt",
    (LOS_ANGELES,): "pt|pst|pdt|pst8pdt|pst/pdt",
    (ANCHORAGE,): "akst|akdt|akst/akdt",
    (HONOLULU,): "hst|hast",
    (HALIFAX,): "adt|ast/adt",
    (HALIFAX, PUERTO_RICO): "ast",
    (ST_JOHNS,): "nst|ndt|nst/ndt",
    # Connecticut or Central Time.
    (NEW_YORK, CHICAGO): "ct",
}
# The same as people say them, mostly before "time".
_CLOCKS: dict[tuple[str, ...], str] = {
    (NEW_YORK,): "eastern",
    (CHICAGO,): "central",
    (DENVER,): "mountain",
    (LOS_ANGELES,): "pacific",
    (HONOLULU,): "hawaiian|hawaii-aleutian",
    (HALIFAX, PUERTO_RICO): "atlantic",
    (ST_JOHNS,): "newfoundland",
    (ANCHORAGE,): "alaskan",
}
# "the Alaska time zone" is one zone, the state has two.
_SAID_AS_ZONE = {"alaska": ANCHORAGE}
_PLACES: dict[tuple[str, ...], str] = {
    (NEW_YORK,): "new york city|nyc|washington dc|new york state",
    (LOS_ANGELES,): "washington state",
    (PUERTO_RICO,): "puerto rico|pr",
    ("Pacific/Guam",): "guam",
    # The state or the capital; Louisiana or Los Angeles.
    (NEW_YORK, LOS_ANGELES): "washington",
    (CHICAGO, LOS_ANGELES): "la",
}

# Words before the name of a state that are no city: "not in Arizona", "moving to Arizona".
_NOT_CITIES = (
    "not no never or and from to near of outside except but until then was were left moving between in on at is isnt "
    "wont dont cant"
)
_MOST_WORDS = 3

_FILLER = re.compile(r"\b(?:(?:standard|daylight|savings?|time|zone|timezone)\b\s*)+$", re.I)
_COUNTRY = re.compile(r"^(?:us|united states) | (?:usa?|united states|canada)$", re.I)
# "I'm mobile" and "I'm Sandy" say nothing of a place, so "in" or "on" is needed after these.
_SENTENCE = re.compile(
    r"^(?:(?:yes|yeah|well|oh|um|uh|so|okay|ok) )*"
    r"(?:(?:(?:im|i am|were|we are) (?:currently |now |based |located |living |over |out |here )*|(?:i|we) live |here )"
    r"(?:in|on) |(?:its|it is|thats|that is|my time ?zone is) (?:in |on )?|in |on )?(?:the )?",
    re.I,
)
_AFTER = re.compile(r"(?: (?:area|right now|now|currently|please|thanks|thank you))+$", re.I)


def resolve_zone_code(text: str, near: tuple[str, ...] = ()) -> ZoneAnswer:
    """Resolve a system's name: an exact IANA name, an abbreviation in capitals, or a Windows name.

    `near`: the possible zones of the person's number. They decide between several clocks of one abbreviation. An
    abbreviation that contradicts them means none. An offset ("UTC-5", "Etc/GMT+5") never means one region.
    """
    region = region_zone(text)
    if region is not None:
        return ZoneAnswer(region)
    if (windows := _windows_zone(text.lower(), near)) is not None:
        return windows
    return _abbreviation(text.lower(), near) if text.isupper() and len(text) <= 7 else ZoneAnswer()


def candidate_zones(named: str | None, of_number: tuple[str, ...]) -> tuple[str, ...]:
    """The zones in which calling hours must all be open. Empty if nothing is known.

    That is the zone that a person or the CRM named, else every zone the number may belong to. A stored name that is no
    region ("EST", "Etc/GMT+5") gives no clock. Then the zones are the number's and those that the name may mean.
    """
    if named is None:
        return of_number
    region = region_zone(named)
    if region is not None:
        return (region,)
    answer = resolve_zone_code(named, of_number)
    meant = (answer.zone,) if answer.zone is not None else answer.candidates
    return tuple(dict.fromkeys(of_number + meant))


def resolve_zone_name(text: str, near: tuple[str, ...] = ()) -> ZoneAnswer:
    """Resolve words of a person or a system: "Eastern", "PST", a state, a city, "I'm in Phoenix, Arizona".

    `near` is as for `resolve_zone_code`. Two-letter names count only in capitals: "in", "me" and "or" are words.
    """
    plain = " ".join(re.sub(r"[.,!?'’\"]", "", text[: MAX_TEXT + 1].replace(",", " ")).split())
    if not plain or len(plain) > MAX_TEXT:
        return ZoneAnswer()
    if (windows := _windows_zone(text.strip().lower(), near) or _windows_zone(plain.lower(), near)) is not None:
        return windows
    named = _AFTER.sub("", _SENTENCE.sub("", plain))
    region = find_region(named)
    if region is not None:
        return ZoneAnswer(region)
    without_filler = _FILLER.sub("", named).strip()
    words = _COUNTRY.sub("", without_filler).strip()
    if len(words) == 2 and not words.isupper():
        return ZoneAnswer()
    said = words.lower()
    if without_filler != named and said in _SAID_AS_ZONE:
        return _by_clock((_SAID_AS_ZONE[said],), near)
    if clock := _clock_words().get(said):
        return _by_clock(clock, near)
    place = _place(words)
    return place if place != ZoneAnswer() or " " in said else _abbreviation(said, near)


def _windows_zone(said: str, near: tuple[str, ...]) -> ZoneAnswer | None:
    zone = _windows_zones().get(said)
    if zone is None:
        return None
    # People in Arizona also say "Mountain Standard Time", and do not mean Denver's clock.
    return _by_clock((zone,), near) if _FILLER.sub("", said).strip() in _clock_words() else ZoneAnswer(zone)


def _abbreviation(said: str, near: tuple[str, ...]) -> ZoneAnswer:
    """Resolve an abbreviation of North America or of the number's zones: "CET" with a German number."""
    if said in _clock_words():
        return _by_clock(_clock_words()[said], near)
    return _choice(tuple(zone for zone in near if said.upper() in abbreviations_of((zone,))))


def _by_clock(meant: tuple[str, ...], near: tuple[str, ...]) -> ZoneAnswer:
    """Choose among the zones of a clock's name those that agree with the number.

    In Jamaica "EST" is another clock than in New York, and in Phoenix "Mountain" another than in Denver. Then both are
    candidates.
    """
    names = abbreviations_of(meant)
    clocks = {clock_of(zone) for zone in meant}
    alike = tuple(zone for zone in near if names & abbreviations_of((zone,)))
    strangers = tuple(zone for zone in alike if clock_of(zone) not in clocks)
    is_abroad = near != () and not any(zone.startswith(("America/", "Pacific/")) for zone in near)
    if strangers or (is_abroad and not alike):
        return ZoneAnswer(None, meant + strangers)
    nearby = {clock_of(zone) for zone in alike}
    return _choice(tuple(zone for zone in meant if clock_of(zone) in nearby) or meant)


def _choice(zones: tuple[str, ...]) -> ZoneAnswer:
    """The first zone if all have the same clock, else all of them as candidates."""
    if len({clock_of(zone) for zone in zones}) == 1:
        return ZoneAnswer(zones[0])
    return ZoneAnswer(None, zones)


def _place(words: str) -> ZoneAnswer:
    """Resolve a state, a city, or a city with its state."""
    said = _spelled(words)
    if said in _places():
        return _choice(_places()[said])
    state = _state(words)
    if state is not None:
        return _choice(ZONES_OF_STATES[state])
    if said in _cities():
        zones = tuple(dict.fromkeys(_cities()[said].values()))
        return ZoneAnswer() if said in NEEDS_ITS_STATE.split("|") else _choice(zones)
    for count in (1, 2, 3):
        before, state = words.split()[:-count], _state(" ".join(words.split()[-count:]))
        if (
            state is not None
            and 0 < len(before) <= _MOST_WORDS
            and not set(_NOT_CITIES.split()) & set(said.split()[:-count])
        ):
            zone = _cities().get(_spelled(" ".join(before)), {}).get(state)
            return ZoneAnswer(zone) if zone is not None else _choice(ZONES_OF_STATES[state])
    return ZoneAnswer()


def _spelled(words: str) -> str:
    """The spelling of the tables: "st paul", "winston salem"."""
    return words.lower().replace("-", " ").replace("saint ", "st ")


def _state(words: str) -> str | None:
    """The code of a state, by its name or by its code in capitals."""
    return words if words in ZONES_OF_STATES else STATE_CODES.get(words.lower())


def _by_name(table: dict[tuple[str, ...], str]) -> dict[str, tuple[str, ...]]:
    return {name: zones for zones, names in table.items() for name in names.split("|")}


@lru_cache(maxsize=1)
def _clock_words() -> dict[str, tuple[str, ...]]:
    return _by_name(_ABBREVIATIONS) | _by_name(_CLOCKS)


@lru_cache(maxsize=1)
def _places() -> dict[str, tuple[str, ...]]:
    return _by_name(_PLACES)


@lru_cache(maxsize=1)
def _windows_zones() -> dict[str, str]:
    return {name.lower(): zone for name, zone in WINDOWS_ZONES.items()}


@lru_cache(maxsize=1)
def _cities() -> dict[str, dict[str, str]]:
    """Zones of a city's name by state, or by the zone itself where the state does not matter."""
    found: dict[str, dict[str, str]] = {}
    listed = [(zone, zone, names) for zone, names in ELSEWHERE.items()]
    listed += [(state, zone, names) for (state, zone), names in IN_STATES.items()]
    for key, zone, names in listed:
        for name in names.split("|"):
            found.setdefault(_spelled(name), {})[key] = zone
    return found
