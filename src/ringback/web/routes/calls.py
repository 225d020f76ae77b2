"""Place calls, show them, and cancel them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ringback import tracing
from ringback.domain.access import Permission
from ringback.domain.audit import Actor
from ringback.domain.call import AcceptReceipt, KeyReused, NewCall
from ringback.domain.phone_number import NumberPlan
from ringback.failpoints import Failpoint, reach
from ringback.flows.suppression import Suppressed, SuppressionOrder
from ringback.storage import Views
from ringback.web import request_models, response_models
from ringback.web.auth import actor_of, needs
from ringback.web.problems import Problem, found
from ringback.web.request_fields import CallId, IdempotencyKey, known_id
from ringback.web.request_models import CallRequest, CallsQuery
from ringback.web.strict_route import JsonOf


@dataclass(frozen=True, slots=True)
class VoiceApi:
    """The flows of the Voice API, each bound to what it needs. All may raise Retryable, which is answered 503."""

    accept: Callable[[NewCall, str | None], Awaitable[AcceptReceipt]]
    answered_before: Callable[[str, str], Awaitable[AcceptReceipt | None]]  # idempotency key, the body's fingerprint
    cancel: Callable[[str, Actor], Awaitable[Literal["cancelled", "already_dispatched"] | None]]
    suppress: Callable[[SuppressionOrder], Awaitable[Suppressed]]
    lift: Callable[[str, str, Actor], Awaitable[bool]]  # suppression id, reason; False: no such suppression
    views: Views
    now: Callable[[], datetime]
    numbers: NumberPlan


def _trace(accepted: AcceptReceipt, http: Request, began_ns: int) -> None:
    """Record the root span of a new call. A repeated request is not the call's acceptance."""
    if not accepted.replayed:
        caller = http.headers.get(tracing.ATTRIBUTE)
        with tracing.span_of_call("call.accept", accepted.call_id, caused_by=caller, began_ns=began_ns) as span:
            span.note(status=accepted.status, reason=accepted.reason)


def add_call_routes(router: APIRouter, api: VoiceApi) -> None:
    may_place, may_read, may_cancel = (
        [needs(permission)] for permission in (Permission.PLACE_CALLS, Permission.READ_CALLS, Permission.CANCEL_CALLS)
    )

    @router.post(
        "/calls",
        status_code=202,
        dependencies=may_place,
        response_model=response_models.AcceptedCall,
        responses={409: {}},
    )
    async def place_call(http: Request, body: JsonOf[CallRequest], idempotency_key: IdempotencyKey = None) -> Response:
        began_ns = tracing.now_ns()
        try:
            request = request_models.read_new_call(body.value, api.now(), api.numbers)
            accepted = await api.accept(request, idempotency_key)
        except KeyReused:
            raise Problem(409, "idempotency_key_reused", "The key was used for another request.") from None
        except Problem:
            # A repeat that comes after its own `expires_at` is invalid as a new request; but it gets the first answer.
            fingerprint = request_models.fingerprint(body.value)
            before = await api.answered_before(idempotency_key, fingerprint) if idempotency_key else None
            if before is None:
                raise
            accepted = before
        _trace(accepted, http, began_ns)
        reach(Failpoint.ACCEPT_ANSWERING)
        return JSONResponse(accepted.as_json(), 202, {"Idempotent-Replayed": "true"} if accepted.replayed else None)

    @router.get("/calls", dependencies=may_read, response_model=response_models.CallsPage)
    async def list_calls(query: Annotated[CallsQuery, Query()]) -> Any:
        items, next_cursor = await api.views.calls(query.filter(), cursor=query.cursor, limit=query.limit)
        return {"items": items, "next_cursor": next_cursor}

    @router.get("/calls/{call_id}", dependencies=may_read, response_model=response_models.Call, responses={404: {}})
    async def get_call(call_id: CallId) -> Any:
        return found(await api.views.call(known_id(call_id, "call")), "call")

    @router.get(
        "/calls/{call_id}/timeline",
        dependencies=may_read,
        response_model=response_models.Timeline,
        responses={404: {}},
    )
    async def get_call_timeline(call_id: CallId) -> Any:
        entries = found(await api.views.timeline(known_id(call_id, "call")), "call")
        return {"call_id": call_id, "entries": entries}

    @router.post(
        "/calls/{call_id}/cancel",
        dependencies=may_cancel,
        response_model=response_models.Cancellation,
        responses={404: {}},
    )
    async def cancel_call(request: Request, call_id: CallId) -> Any:
        return {"result": found(await api.cancel(known_id(call_id, "call"), actor_of(request)), "call")}
