"""Business API: the actions' three doors, one for systems, two for Retell."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from ringback.config import Settings
from ringback.domain.access import Permission
from ringback.flows.business_operations.action import ActionRequest, Door
from ringback.flows.business_operations.perform import BusinessOperations
from ringback.process import Service, run_process
from ringback.web.actions import ActionBody, read_action, refusal
from ringback.web.answers import ActionAnswer
from ringback.web.auth import needs
from ringback.web.openapi import answers, body_of, with_idempotency_key
from ringback.web.problem import not_found
from ringback.web.retell_doors import RetellDoors, retell_routes
from ringback.wiring import Dependencies

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BusinessApi:
    """`new_id` names a request that came without a key."""

    operations: BusinessOperations
    new_id: Callable[[], str]

    async def post_action(self, action: str, request: Request) -> Response:
        known = self.operations.actions.get(action)
        if known is None:
            raise not_found("action")
        body, key = await read_action(request, needs_target=known.declaration.needs_target)
        asked = ActionRequest(
            action=action,
            door=Door.SYSTEMS,
            key=key or self.new_id(),
            args=body.args,
            call_id=body.call_id,
            contact_id=body.contact_id,
            task_id=body.task_id,
        )
        reply = await self.operations.perform(asked)
        _log.info("action.answered", action=action, door=asked.door, code=reply.code)
        return JSONResponse(reply.as_json()) if reply.ok else refusal(reply)


def action_routes(api: BusinessApi, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    may_act = [Depends(require_key), needs(Permission.ACT)]
    router = APIRouter(prefix="/v1/actions", tags=["Business API"], dependencies=may_act)
    asked = with_idempotency_key(body_of(ActionBody))
    router.post("/{action}", openapi_extra=asked, responses=answers(200, ActionAnswer, 404, 409))(api.post_action)
    return router


def build_service(deps: Dependencies) -> Service:
    operations = deps.business_operations()
    doors = RetellDoors(
        operations=operations,
        bodies=deps.bodies,
        may_be_genuine=deps.may_be_retells,
        verify=deps.verify_retell,
        parse_tool_call=deps.parse_tool_call,
        parse_ringing=deps.parse_inbound_call,
        answer=deps.inbound_reply,
    )
    routers = [action_routes(BusinessApi(operations, deps.new_id), deps.require_key())]
    return Service("business-api", routers=routers, routes=retell_routes(doors))


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
