"""Render the console's pages: templates, formats of times and numbers, and the files that pages load."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from importlib import resources
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from ringback.domain import masking
from ringback.domain.metrics import METRICS, Unit
from ringback.domain.rules_in_words import RULES_IN_WORDS
from ringback.web.console import wording
from ringback.web.console.sessions import HEADERS, NOT_STORED, ROOT

FILES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
#: The hash in a file's address changes with its content, so browsers keep the file.
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


TIMES_COOKIE = "ringback_console_times"
TIMES_LAST = timedelta(days=365)


class Times(StrEnum):
    """The zone in which a browser shows times. Times about no contact of a known zone are shown in the report zone."""

    REPORT = "report"
    UTC = "utc"
    CONTACT = "contact"

    @classmethod
    def of(cls, request: Request) -> "Times":
        """Return what the browser keeps, else the report zone."""
        asked = request.cookies.get(TIMES_COOKIE, "")
        return cls(asked) if asked in set(cls) else cls.REPORT


class Renderer:
    """The templates. Every text is escaped, and phone numbers in it are masked. `zone` is the report zone.

    Two names of a template's facts decide how times are shown: `times`, and `contact_zone`, the zone of the contact
    that the whole page is about.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        #: The mark of the installation. None: it is not known yet.
        self.is_emulated: bool | None = None
        content = {name: resources.files(__package__).joinpath("static", name).read_bytes() for name in FILES}
        self.files = {
            name: (text, FILES[name], hashlib.sha256(text).hexdigest()[:12]) for name, text in content.items()
        }
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalize,
        )
        self._templates.filters |= {
            "time": self.time,
            "clock": self.clock,
            "words": wording.words,
            "masked": masking.masked,
            "seconds": seconds,
            "span": span,
            "cents": cents,
            "figure": figure,
            "told": wording.told,
            "as_typed": unmasked,
            # A number of our own is no personal data, and two of one area often differ in the masked digits alone.
            "caller_id": unmasked,
            "percentile": percentile,
            "path": path,
            "query": query,
            "web_address": web_address,
            "rows_link": rows_link,
        }
        self._templates.globals |= {
            "root": ROOT,
            "statuses": wording.STATUSES,
            "rules": RULES_IN_WORDS,
            "tasks": wording.TASKS,
            "zone_name": str(zone),
            "file": {name: f"{ROOT}/static/{name}?{digest}" for name, (_, _, digest) in self.files.items()},
        }

    def render(self, template: str, status: int = 200, **given: Any) -> Response:
        """Render a page. It is never stored by a browser or a proxy."""
        return Response(self.text(template, **given), status, HEADERS | NOT_STORED, "text/html; charset=utf-8")

    def text(self, template: str, **given: Any) -> str:
        """Render a page or the live part of one."""
        return self._templates.get_template(template).render(given, emulated=self.is_emulated)

    @pass_context
    def time(self, context: Context, text: str | None, contact_zone: str | None = None) -> Markup:
        """Show a time in the zone that `times` asks for. Its title has UTC, the report zone and the contact's zone.

        Contacts of one page differ in their zones, so a time in the contact's zone names it.
        """
        if text is None:
            return Markup("")
        moment, times = datetime.fromisoformat(text), context.get("times", Times.REPORT)
        zones: list[tzinfo] = [UTC, self.zone]
        shown = f"{moment.astimezone(UTC if times is Times.UTC else self.zone):%Y-%m-%d %H:%M:%S}"
        if contact_zone := contact_zone or context.get("contact_zone"):
            # An older version may have stored a zone that this machine does not know.
            with suppress(ZoneInfoNotFoundError, ValueError):
                zones.append(ZoneInfo(contact_zone))
        if times is Times.CONTACT:
            shown = f"{moment.astimezone(zones[-1]):%Y-%m-%d %H:%M:%S %Z}"
        title = " · ".join(dict.fromkeys(f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M:%S} {zone}" for zone in zones))
        return Markup('<time datetime="{}" title="{}">{}</time>').format(text, title, shown)

    @pass_context
    def clock(self, context: Context, text: str, step: str, zone: str | None = None) -> str:
        """Format the start of a step in a zone: the day, or the hour and minute. Without a zone, days are those of the
        report zone, and hours are shown as `times` asks."""
        is_utc = step == "hour" and context.get("times") is Times.UTC
        moment = datetime.fromisoformat(text).astimezone(ZoneInfo(zone) if zone else UTC if is_utc else self.zone)
        return f"{moment:%H:%M}" if step == "hour" else f"{moment:%Y-%m-%d}"


def _finalize(value: object) -> object:
    if value is None:
        return ""
    return masking.hide_phones(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def unmasked(text: str | None) -> Markup:
    return Markup("{}").format(text or "")


def web_address(text: str | None) -> str | None:
    """Return an address that a link may have, else None: a browser runs javascript: and data: addresses."""
    return text if text is not None and text.startswith("https://") else None


def seconds(duration_ms: float | None) -> str:
    if duration_ms is None:
        return ""
    minutes, left = divmod(round(duration_ms / 1000), 60)
    return f"{minutes} min {left:02} s" if minutes else f"{left} s"


def span(seconds: float) -> str:
    """Write a long time in its two largest units: 3 d 4 h."""
    left, parts = max(0, round(seconds)), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def cents(value: float | None) -> str:
    return "" if value is None else f"${value / 100:,.2f}"


def figure(name: str, value: float | None) -> str:
    """Format the value of a metric in its unit. A ratio without a denominator is a dash."""
    if value is None:
        return "–"
    match METRICS[name].unit:
        case Unit.SHARE:
            return f"{value * 100:.1f} %"
        case Unit.CENTS:
            return cents(value)
        case Unit.SECONDS:
            return seconds(value * 1000)
        case Unit.RATIO:
            return f"{value:.2f}"
    return f"{value:,.0f}"


def percentile(name: str, value: float | None) -> str:
    """Format a percentile in the unit that ends its name. Without samples it is a dash."""
    if value is None:
        return "–"
    unit = name.rpartition("_")[2]
    return cents(value) if unit == "cents" else f"{value:,.1f} s" if unit == "s" else f"{value:,.0f} {unit}"


def path(values: Iterable[float | None], wide: float, bottom: float, scale: float) -> str:
    """Draw a line through values in steps of a width, as the data of an SVG path. None is a gap.

    A value alone is a line of no length, which a round end makes a dot.
    """
    drawn, is_gap = [], True
    for number, value in enumerate(values):
        if value is not None:
            at = f"{(number + 0.5) * wide:.1f} {bottom - scale * value:.1f}"
            drawn.append(f"M{at}h0" if is_gap else f"L{at}")
        is_gap = value is None
    return "".join(drawn)


def query(asked: Mapping[str, Any], **changed: Any) -> Markup:
    """Build the query of an address from what was asked, with changes; None and "" are left out."""
    kept = {name: value for name, value in {**asked, **changed}.items() if value not in (None, "")}
    return Markup("{}").format(urlencode(kept))


def rows_link(rows_url: str) -> Markup:
    """The console's page of the rows that the API lists at this address."""
    return Markup("{}").format(f"{ROOT}/rows?{rows_url.partition('?')[2]}")
