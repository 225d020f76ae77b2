"""Business API: the actions' doors, one for systems and one for the functions that Retell's agents call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from starlette.routing import Route

from ringback.config import Settings
from ringback.domain.errors import Permanent, Retryable
from ringback.flows.business_operations.action import ActionRequest, Door, Reply
from ringback.flows.business_operations.perform import BusinessOperations
from ringback.flows.business_operations.target import NO_CALL_SAY
from ringback.flows.business_operations.tool_call import ToolCall, request_of
from ringback.web.actions import ActionBody, read_action, refusal
from ringback.web.openapi import body_of
from ringback.web.problem import FieldProblem, Problem, invalid, not_found
from ringback.wiring import Parts, Service, run_process

#: An agent does not grade itself, and no conversation is under way yet while an inbound call rings.
NOT_FOR_AGENTS = frozenset({"incoming_call", "call_analysed"})

#: Someone is on the phone: a silence longer than this is worse than "not now". What was committed meanwhile stands
#: under the tool call's key, so Retell's repeat gets its reply.
ANSWER_WITHIN_S = 10.0
NO_CALL = Reply(False, "no_call", NO_CALL_SAY)
UNAVAILABLE = Reply(False, "unavailable", "Sorry, I cannot save that right now.")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BusinessApi:
    """`verify(body, signature)`; `parse(body)` raises Permanent for what is no tool call; `new_id` names a request that
    came without a key."""

    operations: BusinessOperations
    verify: Callable[[bytes, str | None], bool]
    parse: Callable[[bytes], ToolCall]
    new_id: Callable[[], str]

    async def post_action(self, action: str, request: Request) -> Response:
        if action not in self.operations.actions:
            raise not_found("action")
        body, key = await read_action(request)
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

    async def post_function(self, request: Request) -> Response:
        body, action = await request.body(), request.path_params["action"]
        if not self.verify(body, request.headers.get("x-retell-signature")):
            raise Problem(401, "bad_signature", "The body is not signed with a key of this installation.")
        if action in NOT_FOR_AGENTS or action not in self.operations.actions:
            raise not_found("function")
        try:
            call = self.parse(body)
        except Permanent:
            raise invalid([FieldProblem("#", "not_json", "The body is no JSON object.")]) from None
        reply = await self._answer_agent(action, call)
        _log.info("action.answered", action=action, door=Door.RETELL, code=reply.code)
        return JSONResponse(reply.as_json())

    async def _answer_agent(self, action: str, call: ToolCall) -> Reply:
        if call.playground:
            return self.operations.rehearse(action, call.args)
        asked = request_of(call, action)
        if asked is None:
            return NO_CALL
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self.operations.perform(asked)
        except (Retryable, TimeoutError) as error:
            _log.warning("action.unavailable", action=action, cause=type(error).__name__)
            return UNAVAILABLE


def action_routes(api: BusinessApi, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    router = APIRouter(prefix="/v1/actions", tags=["Business API"], dependencies=[Depends(require_key)])
    router.post("/{action}", openapi_extra=body_of(ActionBody))(api.post_action)
    return router


def function_route(api: BusinessApi) -> Route:
    """Retell's door. A plain route, because its signature covers the raw body."""
    return Route("/v1/retell/functions/{action}", api.post_function, methods=["POST"])


def assemble(parts: Parts) -> Service:
    api = BusinessApi(parts.business_operations(), parts.verify_retell, parts.parse_tool_call, parts.new_id)
    return Service("business-api", routers=[action_routes(api, parts.require_key())], routes=[function_route(api)])


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, assemble)
