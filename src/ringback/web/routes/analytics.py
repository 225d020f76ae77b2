"""Statistics: summaries, series, breakdowns, and the rows behind each number."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request

from ringback.domain.access import Permission
from ringback.domain.analytics_query import Filter, NotAggregated
from ringback.domain.phone_number import NumberPlan
from ringback.flows.analytics import Analytics
from ringback.web import analytics_models as models
from ringback.web.auth import needs
from ringback.web.problems import FieldProblem, Problem
from ringback.web.strict_route import strict_router

Answer = TypeVar("Answer")


def analytics_routes(
    analytics: Analytics, numbers: NumberPlan, require_key: Callable[[Request], Awaitable[None]]
) -> APIRouter:
    router = strict_router("/v1/analytics", "Analytics", numbers, dependencies=[Depends(require_key)])
    may_read = [needs(Permission.READ_ANALYTICS)]

    def read(query: models.RangeQuery) -> Filter:
        return query.filter(analytics.report_zone, analytics.clock.now())

    @router.get("/summary", dependencies=may_read, response_model=models.Summary)
    async def get_summary(query: Annotated[models.SummaryQuery, Query()]) -> Any:
        return await _answered(analytics.summary(read(query), compare=query.compare is not None))

    @router.get("/series", dependencies=may_read, response_model=models.Series)
    async def get_series(query: Annotated[models.SeriesQuery, Query()]) -> Any:
        is_compared = query.compare is not None
        return await _answered(analytics.series(read(query), query.metric, query.step, compare=is_compared))

    @router.get("/breakdown", dependencies=may_read, response_model=models.Breakdown)
    async def get_breakdown(query: Annotated[models.BreakdownQuery, Query()]) -> Any:
        is_compared = query.compare is not None
        asked = analytics.breakdown(read(query), query.metric, query.by, query.limit, compare=is_compared)
        return await _answered(asked)

    @router.get("/rows", dependencies=may_read, response_model=models.RowsPage)
    async def list_rows(query: Annotated[models.RowsQuery, Query()]) -> Any:
        asked = analytics.rows(read(query), query.measure, cursor=query.cursor, limit=query.limit)
        items, next_cursor = await _answered(asked)
        return {"items": items, "next_cursor": next_cursor}

    return router


async def _answered(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except NotAggregated as refused:
        possible = [FieldProblem("query", "possible", f"Counted together: {one}.") for one in refused.possible]
        raise Problem(422, "not_aggregated", refused.detail, possible) from None
