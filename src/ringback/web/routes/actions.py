"""Perform a business action for a system."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from ringback.domain.access import Permission
from ringback.flows.business_operations import action as business
from ringback.flows.business_operations.action import Reply, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.web import response_models
from ringback.web.auth import needs
from ringback.web.problems import MEDIA_TYPE, not_found, pointer_to
from ringback.web.request_fields import ActionName, IdempotencyKey
from ringback.web.request_models import ActionRequest, read_action
from ringback.web.strict_route import JsonOf, strict_router

STATUS_OF_CODE = {"not_found": 404, "already_dispatched": 409, "key_reused": 409}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BusinessApi:
    """`new_id` names a request that came without a key."""

    operations: BusinessOperations
    new_id: Callable[[], str]


def action_routes(api: BusinessApi, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    async def require_action(request: Request) -> None:
        if request.path_params["action"] not in api.operations.actions:
            raise not_found("action")

    may_act = [Depends(require_key), needs(Permission.ACT), Depends(require_action)]
    router = strict_router("/v1/actions", "Business API", dependencies=may_act)

    @router.post("/{action}", response_model=response_models.ActionReply, responses={404: {}, 409: {}})
    async def perform_action(
        action: ActionName, body: JsonOf[ActionRequest], idempotency_key: IdempotencyKey = None
    ) -> Response:
        needs_target = api.operations.actions[action].declaration.needs_target
        asked, key = read_action(body.value, idempotency_key, needs_target=needs_target)
        request = business.ActionRequest(
            action=action,
            scope=Scope.SYSTEMS,
            key=key or api.new_id(),
            args=asked.args,
            call_id=asked.call_id,
            contact_id=asked.contact_id,
            task_id=asked.task_id,
        )
        reply = await api.operations.perform(request)
        _log.info(
            "action.answered",
            action=action,
            door=request.scope,
            code=reply.code,
            call_id=request.call_id,
            task_id=request.task_id,
        )
        return JSONResponse(reply.as_json()) if reply.ok else _problem(reply)

    return router


def _problem(reply: Reply) -> JSONResponse:
    """Turn the reply into a problem that contains it: RFC 9457 allows members of one's own."""
    status = HTTPStatus(STATUS_OF_CODE.get(reply.code, 422))
    result = dict(reply.result)
    errors = [
        {"pointer": pointer_to("args", name), "code": "invalid", "message": why}
        for name, why in result.pop("errors", {}).items()
    ]
    head = {"type": "about:blank", "title": status.phrase, "status": status, "detail": reply.say, "errors": errors}
    return JSONResponse(head | reply.as_json() | {"result": result}, status, media_type=MEDIA_TYPE)
