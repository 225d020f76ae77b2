"""Answer Retell's agents, who call functions, and Retell's inbound webhook, which asks who is calling us."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ringback.domain.errors import Permanent, Retryable
from ringback.flows.business_operations.action import ActionRequest, FunctionCall, Reply, Scope, is_for, request_of
from ringback.flows.business_operations.incoming_call import unknown_caller
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.business_operations.target import NO_CALL_SAY
from ringback.web.limits import RETELL_BODY_BYTES, BodyReader
from ringback.web.problems import FieldProblem, Problem, invalid, not_found
from ringback.web.strict_route import strict_router

#: A longer silence in a conversation is worse than "not now". An action committed meanwhile is stored with the tool
#: call's key, so Retell's repeat gets its reply.
ANSWER_WITHIN_S = 10.0
#: A phone is ringing. Retell waits ten seconds and tries again; the caller hears every one of them.
ANSWER_RINGING_WITHIN_S = 3.0
#: The answer without the database waits at most this long for the installation's name.
INSTANCE_WITHIN_S = 0.2

NO_CALL = Reply(False, "no_call", NO_CALL_SAY)
WRONG_FUNCTION = Reply(False, "wrong_function", NO_CALL_SAY)
UNAVAILABLE = Reply(False, "unavailable", "Sorry, I cannot save that right now.")

_log = structlog.get_logger(__name__)


class Ringing(Protocol):
    """A call to us, as the adapter read it from the provider. `agent_id` is the number's own agent, if it has one.

    `is_dated`: the body has a time, which distinguishes two calls of the same numbers.
    """

    @property
    def from_number(self) -> str: ...
    @property
    def to_number(self) -> str: ...
    @property
    def call_id(self) -> str | None: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def is_dated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class RetellApi:
    """`may_be_genuine(signature)` is asked before the body is read, `verify(body, signature)` after it. The parsers
    raise Permanent for a body that they cannot read. `answer(variables, metadata, agent_id)` makes the body that
    answers a ringing phone."""

    operations: BusinessOperations
    bodies: BodyReader
    may_be_genuine: Callable[[str | None], bool]
    verify: Callable[[bytes, str | None], bool]
    parse_tool_call: Callable[[bytes], FunctionCall]
    parse_ringing: Callable[[bytes], Ringing]
    answer: Callable[[Mapping[str, Any], Mapping[str, Any], str | None], dict[str, Any]]

    async def answer_function(self, action: str, body: bytes) -> Response:
        known = self.operations.actions.get(action)
        if known is None or not known.declaration.for_agents:
            raise not_found("function")
        try:
            call = self.parse_tool_call(body)
        except Permanent:
            raise invalid([FieldProblem("#", "not_json", "The body is no JSON object.")]) from None
        reply = await self._answer_agent(action, call)
        _log.info(
            "action.answered",
            action=action,
            door=Scope.RETELL,
            code=reply.code,
            provider_call_id=call.provider_call_id,
            attempt_id=call.attempt_id,
        )
        return JSONResponse(reply.as_json())

    async def answer_inbound(self, body: bytes) -> Response:
        """Answer the phone whatever goes wrong after the signature."""
        try:
            ringing = self.parse_ringing(body)
        except Permanent:
            _log.warning("inbound.unreadable")
            return self._answered(await self._static_reply(), None)
        reply = await self._answer_ringing(ringing, hashlib.sha256(body).hexdigest())
        _log.info("inbound.answered", code=reply.code)
        return self._answered(reply, ringing)

    async def signed_body(self, request: Request) -> bytes:
        """Read the body and verify its signature. Raises Problem 401. A signature that cannot be genuine is rejected
        before the body is read."""
        # Several are joined, and two signatures are no signature.
        signature = ",".join(request.headers.getlist("x-retell-signature"))
        unsigned = Problem(401, "bad_signature", "The body is not signed with a key of this installation.")
        if not self.may_be_genuine(signature):
            raise unsigned
        async with self.bodies.read(request.receive, request.headers, RETELL_BODY_BYTES) as body:
            if not self.verify(body, signature):
                raise unsigned
            return body

    async def _answer_agent(self, action: str, call: FunctionCall) -> Reply:
        if call.playground:
            return self.operations.rehearse(action, call.args)
        if not is_for(call, action):
            _log.warning("action.wrong_function", action=action)
            return WRONG_FUNCTION
        asked = request_of(call, action)
        if asked is None:
            return NO_CALL
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self.operations.perform(asked)
        except (Retryable, TimeoutError) as error:
            _log.warning("action.unavailable", action=action, cause=type(error).__name__)
            return UNAVAILABLE

    async def _answer_ringing(self, ringing: Ringing, digest: str) -> Reply:
        # Without an id or a time each body is a call of its own. A repeat while it rings finds the inbound call anyway.
        is_known = ringing.call_id or (digest if ringing.is_dated else None)
        asked = ActionRequest(
            action="incoming_call",
            scope=Scope.RETELL,
            key=f"inbound:{is_known or self.operations.rules.new_id()}",
            args={"from_number": ringing.from_number, "to_number": ringing.to_number},
            provider_call_id=ringing.call_id,
        )
        try:
            async with asyncio.timeout(ANSWER_RINGING_WITHIN_S):
                reply = await self.operations.perform(asked)
        except (Retryable, TimeoutError) as error:
            _log.warning("inbound.fallback", cause=type(error).__name__)
            return await self._static_reply()
        except Exception as error:  # noqa: BLE001 - a phone is ringing, and a bug must not keep it ringing
            _log.error("inbound.failed", error=type(error).__name__, exc_info=error)
            return await self._static_reply()
        return reply if reply.ok else await self._static_reply()

    async def _static_reply(self) -> Reply:
        instance = None
        try:
            async with asyncio.timeout(INSTANCE_WITHIN_S):
                # Kept in memory after the first read, so it usually needs no database.
                instance = await self.operations.store.instance()
        except (Retryable, TimeoutError):
            pass
        return unknown_caller(instance)

    def _answered(self, reply: Reply, ringing: Ringing | None) -> Response:
        result = reply.result
        # The number's own agent answers. Ours answers a number that has none.
        agent_id = None if ringing is None or ringing.agent_id else result["agent_id"]
        return JSONResponse(self.answer(result["dynamic_variables"], result["metadata"], agent_id))


def retell_routes(api: RetellApi) -> list[BaseRoute]:
    """Retell's signature covers the raw body, so the endpoints read it themselves."""
    router = strict_router("/v1/retell", "Retell", include_in_schema=False)

    @router.post("/functions/{action}")
    async def call_function(action: str, request: Request) -> Response:
        return await api.answer_function(action, await api.signed_body(request))

    @router.post("/inbound")
    async def answer_inbound_call(request: Request) -> Response:
        return await api.answer_inbound(await api.signed_body(request))

    return router.routes
