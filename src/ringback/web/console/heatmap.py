"""The heatmap of the statistics: one metric by the weekday and the hour of the person, for a month."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.domain.analytics_query import Filter, NotAggregated
from ringback.domain.metrics import METRICS
from ringback.web.analytics_models import MetricName
from ringback.web.console.facts import Item
from ringback.web.console.pages import or_refused, read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.request_models import RequestModel

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Shades of a cell, from the smallest value to the largest.
SHADES = 5
MOST_CELLS = len(WEEKDAYS) * 24
#: The month before and the month after have dates too.
_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")


def _month(text: str) -> str:
    if not _MONTH.fullmatch(text):
        raise ValueError("not_a_month: A month is a year and a month, for example 2026-12.")
    return text


class HeatmapQuery(RequestModel):
    """Without a month it is the current one."""

    metric: MetricName = "human_rate"
    month: Annotated[str, AfterValidator(_month)] | None = None


@dataclass(frozen=True, slots=True)
class HeatmapPage:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/heatmap", Permission.READ_ANALYTICS, self.heatmap)]

    async def heatmap(self, request: Request, visitor: Visitor) -> Response:
        analytics = self.site.flows.analytics
        zone = analytics.report_zone
        _, query = read_query(self.site, HeatmapQuery, request.query_params)
        today = analytics.clock.now().astimezone(zone).date()
        first = date.fromisoformat(f"{query.month}-01") if query.month else today.replace(day=1)
        following, before = (first + timedelta(days=31)).replace(day=1), (first - timedelta(days=1)).replace(day=1)
        found, past = [
            await or_refused(analytics.breakdown(month, query.metric, "local_hour", MOST_CELLS, compare=False))
            for month in (Filter.of_days(first, following, zone), Filter.of_days(before, first, zone))
        ]
        refused = next((one for one in (found, past) if isinstance(one, NotAggregated)), None)
        counted = [one["items"] for one in (found, past) if not isinstance(one, NotAggregated)]
        cells = cells_of(*counted) if refused is None else {}
        return self.site.show(
            request,
            visitor,
            "heatmap.html",
            "/analytics",
            metric=query.metric,
            metrics=list(METRICS),
            month=f"{first:%Y-%m}",
            before=f"{before:%Y-%m}",
            after=f"{following:%Y-%m}" if following <= today else None,
            weekdays=WEEKDAYS,
            cells=cells,
            refused=refused,
        )


def cells_of(items: list[Item], past: list[Item]) -> dict[tuple[int, int], Item]:
    """Return the cells by (weekday, hour), each with its shade and its value of the month before."""
    before = {_place(one): one["value"] for one in past}
    most = max((one["value"] or 0 for one in items), default=0) or 1
    return {
        _place(one): one
        | {"shade": round((SHADES - 1) * (one["value"] or 0) / most), "previous": before.get(_place(one))}
        for one in items
    }


def _place(item: Item) -> tuple[int, int]:
    return item["key"]["weekday"], item["key"]["local_hour"]
