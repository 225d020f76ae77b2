"""Which IANA zone a person's words mean, and whose word about a contact's zone counts."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

#: The longest text that is looked at; the longest IANA name has 32 characters.
MAX_TEXT = 80
# In the database of zones, but no place: a machine's own setting, and "not set up yet".
NO_PLACE = frozenset({"localtime", "Factory", "posixrules"})


class ZoneSource(StrEnum):
    """Who said in which zone a contact lives."""

    PERSON = "person"
    CRM = "crm"
    GUESSED = "guessed"

    def may_replace(self, current: "ZoneSource | None") -> bool:
        """Said by the person beats the CRM beats guessed from the number; newer words of the same source count."""
        return current is None or _RANK[self] >= _RANK[current]


_RANK = {ZoneSource.GUESSED: 1, ZoneSource.CRM: 2, ZoneSource.PERSON: 3}


@dataclass(frozen=True, slots=True)
class ZoneAnswer:
    """`zone` if the words mean exactly one; otherwise the zones to choose from, none if the words mean no zone."""

    zone: str | None = None
    candidates: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _names_by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones() - NO_PLACE}


def is_zone(name: str) -> bool:
    """Whether this is an IANA name, spelled exactly as in the database."""
    return find_zone(name) is not None


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of an exact IANA name, None if there is none."""
    return ZoneInfo(name) if _names_by_lower_case().get(name.lower()) == name else None


NEW_YORK, CHICAGO, DENVER, LOS_ANGELES = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
INDIANAPOLIS, DETROIT, LOUISVILLE = "America/Indiana/Indianapolis", "America/Detroit", "America/Kentucky/Louisville"
BOISE, PHOENIX, HONOLULU = "America/Boise", "America/Phoenix", "Pacific/Honolulu"
ANCHORAGE, ADAK = "America/Anchorage", "America/Adak"

# The abbreviations come before the IANA names of the same spelling ("EST", "MST", "HST"): those are fixed offsets
# without daylight saving, which nobody who says "EST" on the phone means.
_SPOKEN: dict[tuple[str, ...], str] = {
    (NEW_YORK,): "eastern|et|est|edt|est/edt|new york city|nyc|washington dc|dc|district of columbia",
    (CHICAGO,): "central|cst|cdt|cst/cdt|chicago",
    (DENVER,): "mountain|mdt|mst/mdt|denver",
    (LOS_ANGELES,): "pacific|pt|pst|pdt|pst/pdt|los angeles|washington state",
    # Arizona keeps MST all year, the other Mountain states only in winter.
    (DENVER, PHOENIX): "mst|mt",
    # Connecticut or Central Time; Louisiana or Los Angeles; the state or the capital.
    (NEW_YORK, CHICAGO): "ct",
    (CHICAGO, LOS_ANGELES): "la",
    (NEW_YORK, LOS_ANGELES): "washington",
    (ANCHORAGE,): "akst|akdt|akst/akdt|anchorage",
    (HONOLULU,): "hawaii|hi|hst|hast|hawaiian|hawaii-aleutian|honolulu",
    # Without the Navajo Nation, which has daylight saving: whoever says "Arizona" there is called an hour off.
    (PHOENIX,): "arizona|az|phoenix",
    (DETROIT,): "detroit",
    ("America/Puerto_Rico",): "puerto rico",
    ("Pacific/Guam",): "guam",
    ("America/Halifax", "America/Puerto_Rico"): "atlantic|ast",
    ("UTC",): "utc|zulu|coordinated universal",
}

# One county that legally keeps another zone makes a state ambiguous.
_STATES: dict[tuple[str, ...], str] = {
    (NEW_YORK,): (
        "connecticut|delaware|de|georgia|ga|maine|me|maryland|md|massachusetts|ma|new hampshire|nh|new jersey|nj|"
        "new york|ny|new york state|north carolina|nc|ohio|oh|pennsylvania|pa|rhode island|ri|south carolina|sc|"
        "vermont|vt|virginia|va|west virginia|wv"
    ),
    (CHICAGO,): (
        "alabama|al|arkansas|ar|illinois|il|iowa|ia|louisiana|minnesota|mn|mississippi|ms|missouri|mo|oklahoma|ok|"
        "wisconsin|wi"
    ),
    (DENVER,): "colorado|co|montana|new mexico|nm|utah|ut|wyoming|wy",
    (LOS_ANGELES,): "california|ca|wa",
    (NEW_YORK, CHICAGO): "florida|fl|tennessee|tn",
    (INDIANAPOLIS, CHICAGO): "indiana|in",
    (LOUISVILLE, CHICAGO): "kentucky|ky",
    (DETROIT, CHICAGO): "michigan|mi",
    (CHICAGO, DENVER): "kansas|ks|nebraska|ne|north dakota|nd|south dakota|sd|texas|tx",
    (BOISE, LOS_ANGELES): "idaho|id",
    (LOS_ANGELES, BOISE): "oregon|or",
    (LOS_ANGELES, DENVER): "nevada|nv",
    (ANCHORAGE, ADAK): "alaska|ak",
}

# "the Alaska time zone" is one zone, the state has two.
_SAID_AS_ZONE = {"alaska": ANCHORAGE, "alaskan": ANCHORAGE}
_FILLER = re.compile(r"\b(?:(?:standard|daylight|savings?|time|zone|timezone)\b\s*)+$")


@lru_cache(maxsize=1)
def _zones_by_words() -> dict[str, tuple[str, ...]]:
    tables = (_STATES, _SPOKEN)
    return {words: zones for table in tables for zones, names in table.items() for words in names.split("|")}


def resolve_zone_name(text: str) -> ZoneAnswer:
    """The zone of an IANA name (in any case), a common United States name ("Eastern", "PST") or a state.

    An offset ("-05:00") is no zone: it does not say when the clocks change. Two-letter states only in capitals, because
    "in", "me" and "or" are words.
    """
    plain = " ".join(re.sub(r"[.,]", "", text[: MAX_TEXT + 1]).split())
    if not plain or len(plain) > MAX_TEXT:
        return ZoneAnswer()
    said = plain.lower()
    without_filler = _FILLER.sub("", said).strip()
    words = re.sub(r"^(?:the )?(?:(?:us|united states) )?", "", without_filler).strip()
    if without_filler != said and words in _SAID_AS_ZONE:
        return ZoneAnswer(_SAID_AS_ZONE[words])
    zones = _zones_by_words().get(words, ())
    if len(words) == 2 and not plain.replace("US ", "")[:2].isupper():
        zones = ()
    if len(zones) == 1:
        return ZoneAnswer(zones[0])
    if zones:
        return ZoneAnswer(None, zones)
    return ZoneAnswer(_names_by_lower_case().get(said.replace(" ", "_")))
