"""Suppress a phone or a contact, show who is suppressed, and lift a suppression."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ringback.domain.access import Permission
from ringback.flows.suppression import SuppressionOrder
from ringback.web import response_models
from ringback.web.auth import actor_of, needs
from ringback.web.problems import FieldProblem, invalid, not_found
from ringback.web.request_fields import SuppressionId, known_id
from ringback.web.request_models import LiftRequest, SuppressionRequest, SuppressionsQuery
from ringback.web.routes.calls import VoiceApi

_WITHOUT_REASON = LiftRequest(reason=None)


def add_suppression_routes(router: APIRouter, api: VoiceApi) -> None:
    @router.post(
        "/suppressions",
        status_code=201,
        dependencies=[needs(Permission.SUPPRESS)],
        response_model=response_models.SuppressionReceipt,
        responses={200: {"model": response_models.SuppressionReceipt, "description": "It was suppressed before."}},
    )
    async def create_suppression(request: Request, body: SuppressionRequest) -> Response:
        order = SuppressionOrder(**dict(body), actor=actor_of(request))
        suppressed = await api.suppress(order)
        answer = {"suppression_id": suppressed.suppression_id, "already_dispatched": suppressed.already_dispatched}
        return JSONResponse(answer, 201 if suppressed.is_new else 200)

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
    async def lift_suppression(
        request: Request,
        suppression_id: SuppressionId,
        query: Annotated[LiftRequest, Query()],
        body: LiftRequest = _WITHOUT_REASON,
    ) -> Response:
        reason = body.reason or query.reason
        if reason is None:
            raise invalid([FieldProblem("#/reason", "required", "A reason is required, in the body or in the query.")])
        if not await api.lift(known_id(suppression_id, "suppression"), reason, actor_of(request)):
            raise not_found("suppression")
        return Response(status_code=204)
