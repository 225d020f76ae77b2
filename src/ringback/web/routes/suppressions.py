"""Suppress a phone or a contact, show who is suppressed, and lift a suppression."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ringback.domain.access import Permission
from ringback.flows.suppression import SuppressionOrder
from ringback.web import response_models
from ringback.web.auth import actor_of, needs
from ringback.web.problems import not_found
from ringback.web.request_fields import SuppressionId, known_id
from ringback.web.request_models import LiftRequest, SuppressionRequest, SuppressionsQuery
from ringback.web.routes.calls import VoiceApi


def add_suppression_routes(router: APIRouter, api: VoiceApi) -> None:
    @router.post(
        "/suppressions",
        status_code=201,
        dependencies=[needs(Permission.SUPPRESS)],
        response_model=response_models.SuppressionReceipt,
    )
    async def create_suppression(request: Request, body: SuppressionRequest) -> Response:
        order = SuppressionOrder(**dict(body), actor=actor_of(request))
        suppression_id, already_dispatched = await api.suppress(order)
        return JSONResponse({"suppression_id": suppression_id, "already_dispatched": already_dispatched}, 201)

    @router.get(
        "/suppressions",
        dependencies=[needs(Permission.READ_SUPPRESSIONS)],
        response_model=response_models.SuppressionsPage,
    )
    async def list_suppressions(query: Annotated[SuppressionsQuery, Query()]) -> Any:
        items, next_cursor = await api.views.suppressions(**dict(query))
        return {"items": items, "next_cursor": next_cursor}

    @router.delete(
        "/suppressions/{suppression_id}",
        status_code=204,
        dependencies=[needs(Permission.SUPPRESS)],
        responses={404: {}},
    )
    async def lift_suppression(request: Request, suppression_id: SuppressionId, body: LiftRequest) -> Response:
        if not await api.lift(known_id(suppression_id, "suppression"), body.reason, actor_of(request)):
            raise not_found("suppression")
        return Response(status_code=204)
