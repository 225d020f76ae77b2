"""Time zones by IANA name: regions with a clock of their own, and the ranking of sources."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

# Entries of the zone database that are no place: a machine's own setting, and "not set up yet".
NO_PLACE = frozenset({"localtime", "Factory", "posixrules"})

NEW_YORK, CHICAGO, DENVER, LOS_ANGELES = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
VANCOUVER, DAWSON_CREEK, REGINA = "America/Vancouver", "America/Dawson_Creek", "America/Regina"
TORONTO, WINNIPEG, EDMONTON, HALIFAX = "America/Toronto", "America/Winnipeg", "America/Edmonton", "America/Halifax"
INDIANAPOLIS, DETROIT, LOUISVILLE = "America/Indiana/Indianapolis", "America/Detroit", "America/Kentucky/Louisville"
BOISE, PHOENIX, HONOLULU = "America/Boise", "America/Phoenix", "Pacific/Honolulu"
ANCHORAGE, ADAK = "America/Anchorage", "America/Adak"

# A region's name begins with a continent or an ocean. All other names are old names of regions (listed below), or fixed
# offsets and clocks without a place ("EST", "Etc/GMT+5", "CET").
_AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
_OLD_NAMES: dict[str, str] = {
    "Africa/Cairo": "Egypt",
    "Africa/Tripoli": "Libya",
    "America/Adak": "US/Aleutian",
    "America/Anchorage": "US/Alaska",
    "America/Chicago": "US/Central",
    "America/Denver": "US/Mountain Navajo",
    "America/Detroit": "US/Michigan",
    "America/Edmonton": "Canada/Mountain",
    "America/Halifax": "Canada/Atlantic",
    "America/Havana": "Cuba",
    "America/Indiana/Indianapolis": "US/East-Indiana",
    "America/Indiana/Knox": "US/Indiana-Starke",
    "America/Jamaica": "Jamaica",
    "America/Los_Angeles": "US/Pacific US/Pacific-New",
    "America/Manaus": "Brazil/West",
    "America/Mazatlan": "Mexico/BajaSur",
    "America/Mexico_City": "Mexico/General",
    "America/New_York": "US/Eastern",
    "America/Noronha": "Brazil/DeNoronha",
    "America/Phoenix": "US/Arizona",
    "America/Regina": "Canada/Saskatchewan",
    "America/Rio_Branco": "Brazil/Acre",
    "America/Santiago": "Chile/Continental",
    "America/Sao_Paulo": "Brazil/East",
    "America/St_Johns": "Canada/Newfoundland",
    "America/Tijuana": "Mexico/BajaNorte",
    "America/Toronto": "Canada/Eastern",
    "America/Vancouver": "Canada/Pacific",
    "America/Whitehorse": "Canada/Yukon",
    "America/Winnipeg": "Canada/Central",
    "Asia/Hong_Kong": "Hongkong",
    "Asia/Jerusalem": "Israel",
    "Asia/Seoul": "ROK",
    "Asia/Shanghai": "PRC",
    "Asia/Singapore": "Singapore",
    "Asia/Taipei": "ROC",
    "Asia/Tehran": "Iran",
    "Asia/Tokyo": "Japan",
    "Atlantic/Reykjavik": "Iceland",
    "Europe/Dublin": "Eire",
    "Europe/Istanbul": "Turkey",
    "Europe/Lisbon": "Portugal",
    "Europe/London": "GB GB-Eire",
    "Europe/Moscow": "W-SU",
    "Europe/Warsaw": "Poland",
    "Pacific/Auckland": "NZ",
    "Pacific/Chatham": "NZ-CHAT",
    "Pacific/Easter": "Chile/EasterIsland",
    "Pacific/Honolulu": "US/Hawaii",
    "Pacific/Kwajalein": "Kwajalein",
    "Pacific/Pago_Pago": "US/Samoa",
}
# A winter day and a summer day under the rules now in force, as far as they are known.
_SAMPLES = (datetime(2037, 1, 15, tzinfo=UTC), datetime(2037, 7, 15, tzinfo=UTC))


class ZoneSource(StrEnum):
    """The source of a contact's time zone."""

    PERSON = "person"
    CRM = "crm"
    GUESSED = "guessed"

    def may_replace(self, current: "ZoneSource | None") -> bool:
        """The person outranks the CRM, and the CRM outranks a guess. The newer of the same source counts."""
        return current is None or _RANK[self] >= _RANK[current]


_RANK = {ZoneSource.GUESSED: 1, ZoneSource.CRM: 2, ZoneSource.PERSON: 3}


@dataclass(frozen=True, slots=True)
class ZoneAnswer:
    """The one zone that words mean, else the candidates to choose from. Both empty: the words mean no zone."""

    zone: str | None = None
    candidates: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _names_by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones() - NO_PLACE}


@lru_cache(maxsize=1)
def _regions_by_old_name() -> dict[str, str]:
    return {name: region for region, names in _OLD_NAMES.items() for name in names.split()}


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of an exact IANA name, else None. It may be a fixed offset: see `region_zone`."""
    return ZoneInfo(name) if _names_by_lower_case().get(name.lower()) == name else None


def region_zone(name: str) -> str | None:
    """The region that an exact IANA name means: itself, or "America/New_York" for "US/Eastern".

    Returns None for an unknown name and for a name that is no region. Calling hours by a fixed offset ("EST",
    "Etc/GMT+5") are wrong by an hour for half of the year.
    """
    region = _regions_by_old_name().get(name, name)
    return region if region.startswith(_AREAS) and find_zone(region) else None


def find_region(name: str) -> str | None:
    """`region_zone` for a name in any case, with spaces or underscores."""
    exact = _names_by_lower_case().get(name.lower().replace(" ", "_"))
    return region_zone(exact) if exact is not None else None


def clock_of(zone: str) -> tuple[timedelta | None, ...]:
    """The offsets of a region in winter and summer. Zones with the same offsets are open at the same times."""
    return tuple(sample.astimezone(ZoneInfo(zone)).utcoffset() for sample in _SAMPLES)


def abbreviations_of(zones: Iterable[str]) -> set[str]:
    """The abbreviations of these regions: "MST" and "MDT" in Denver, "MST" alone in Phoenix."""
    return {sample.astimezone(ZoneInfo(zone)).strftime("%Z") for zone in zones for sample in _SAMPLES}


def report_zone(name: str) -> ZoneInfo:
    """Return the zone whose days reports use: a region, or UTC. Raises ValueError for any other name."""
    if name != "UTC" and name not in available_timezones() - NO_PLACE:
        raise ValueError("must be UTC or a region such as America/New_York")
    return ZoneInfo(name)
