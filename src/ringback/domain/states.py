"""The states of the United States and the provinces of Canada, and the zones in which their people may live."""

from ringback.domain.time_zone import (
    ADAK,
    ANCHORAGE,
    BOISE,
    CHICAGO,
    DENVER,
    DETROIT,
    EDMONTON,
    HALIFAX,
    HONOLULU,
    INDIANAPOLIS,
    LOS_ANGELES,
    LOUISVILLE,
    NEW_YORK,
    PHOENIX,
    TORONTO,
    WINNIPEG,
)

# One county that legally keeps another zone makes a state ambiguous. Arizona counts without the Navajo Nation, whose
# towns are listed with the cities.
_STATES: dict[tuple[str, ...], str] = {
    (NEW_YORK,): (
        "CT connecticut|DE delaware|DC district of columbia|GA georgia|ME maine|MD maryland|MA massachusetts|"
        "NH new hampshire|NJ new jersey|NY new york|NC north carolina|OH ohio|PA pennsylvania|RI rhode island|"
        "SC south carolina|VT vermont|VA virginia|WV west virginia"
    ),
    (CHICAGO,): (
        "AL alabama|AR arkansas|IL illinois|IA iowa|LA louisiana|MN minnesota|MS mississippi|MO missouri|OK oklahoma|"
        "WI wisconsin"
    ),
    (DENVER,): "CO colorado|MT montana|NM new mexico|UT utah|WY wyoming",
    (PHOENIX,): "AZ arizona",
    (LOS_ANGELES,): "CA california|WA washington",
    (HONOLULU,): "HI hawaii",
    (NEW_YORK, CHICAGO): "FL florida|TN tennessee",
    (INDIANAPOLIS, CHICAGO): "IN indiana",
    (LOUISVILLE, CHICAGO): "KY kentucky",
    (DETROIT, CHICAGO): "MI michigan",
    (CHICAGO, DENVER): "KS kansas|NE nebraska|ND north dakota|SD south dakota|TX texas",
    (BOISE, LOS_ANGELES): "ID idaho",
    (LOS_ANGELES, BOISE): "OR oregon",
    (LOS_ANGELES, DENVER): "NV nevada",
    (ANCHORAGE, ADAK): "AK alaska",
    (TORONTO, WINNIPEG, "America/Atikokan"): "ON ontario",
    (TORONTO, "America/Blanc-Sablon"): "QC quebec",
    ("America/Vancouver", EDMONTON, "America/Dawson_Creek"): "BC british columbia",
    (EDMONTON,): "AB alberta",
    ("America/Regina", EDMONTON): "SK saskatchewan",
    (WINNIPEG,): "MB manitoba",
    (HALIFAX,): "NS nova scotia|PE prince edward island",
    ("America/Moncton",): "NB new brunswick",
    ("America/St_Johns", "America/Goose_Bay"): "NL newfoundland and labrador",
    ("America/Whitehorse",): "YT yukon",
    (EDMONTON, "America/Inuvik"): "NT northwest territories",
}

_ALL = [(one.split(" ", 1), zones) for zones, names in _STATES.items() for one in names.split("|")]
#: By two-letter code.
ZONES_OF_STATES: dict[str, tuple[str, ...]] = {code: zones for (code, _), zones in _ALL}
#: Code by name in lower case.
STATE_CODES: dict[str, str] = {name: code for (code, name), _ in _ALL}
