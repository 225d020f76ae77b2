"""Exports: attempts, calls and events as CSV or JSON lines, streamed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from ringback.domain.access import Permission
from ringback.domain.analytics_query import parameters_of
from ringback.domain.phone_number import NumberPlan
from ringback.flows.exports import KINDS, Exports, as_csv, as_json_lines, pages_of, with_masked_phones
from ringback.web.analytics_models import ExportQuery
from ringback.web.auth import needs, sees_phones
from ringback.web.problems import FieldProblem, invalid, not_found
from ringback.web.request_fields import ExportName
from ringback.web.strict_route import strict_router

_TYPES = {"csv": "text/csv", "jsonl": "application/jsonl"}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string"}} for kind in _TYPES.values()}},
    404: {},
}


def export_routes(
    exports: Exports, numbers: NumberPlan, require_key: Callable[[Request], Awaitable[None]]
) -> APIRouter:
    router = strict_router("/v1/exports", "Analytics", numbers, dependencies=[Depends(require_key)])

    @router.get(
        "/{export}", dependencies=[needs(Permission.EXPORT)], response_class=StreamingResponse, responses=_FILES
    )
    async def export_rows(request: Request, export: ExportName, query: Annotated[ExportQuery, Query()]) -> Response:
        return await export_response(exports, export, query, masked=not sees_phones(request))

    return router


async def export_response(exports: Exports, export: str, query: ExportQuery, *, masked: bool) -> Response:
    """Stream the rows as the file `export`, such as attempts.csv. Raises Problem for what cannot be exported."""
    kind, _, suffix = export.partition(".")
    if kind not in KINDS or suffix not in _TYPES:
        raise not_found(f"export; there are {', '.join(KINDS)}, each with .csv or .jsonl")
    asked = query.filter(exports.report_zone, exports.clock.now())
    if unusable := parameters_of(asked.keys.keys() - KINDS[kind]):
        possible = ", ".join(parameters_of(KINDS[kind]))
        message = f"This cannot choose among {kind}; these can: {possible}."
        raise invalid([FieldProblem(f"query:{name}", "unknown_field", message) for name in unusable])
    pages = pages_of(exports.rows, kind, asked)
    if masked:
        pages = with_masked_phones(pages)
    parts = as_csv(pages, is_safe=query.safe_for_spreadsheets) if suffix == "csv" else as_json_lines(pages)
    # Read before the status is sent: without a database the answer is 503, and not a file that breaks off.
    first = await anext(parts, b"")

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    headers = {"content-disposition": f'attachment; filename="{export}"', "cache-control": "no-store"}
    return StreamingResponse(body(), media_type=_TYPES[suffix], headers=headers)
