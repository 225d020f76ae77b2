"""Voice API: takes Engage's triggers, and shows and stops what became of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from ringback.config import Settings
from ringback.domain.new_call import AcceptReceipt, KeyReused, NewCall
from ringback.domain.number_plan import NumberPlan
from ringback.failpoints import Failpoint, reach
from ringback.flows.ending_calls import cancel_call
from ringback.flows.suppression import lift_suppression, suppress_now
from ringback.ports import Views
from ringback.process import Service, run_process
from ringback.web import requests
from ringback.web.json_body import read_json
from ringback.web.problem import Problem, found, not_found
from ringback.web.steering import steering_routes
from ringback.web.voice_operations import voice_operations
from ringback.wiring import Dependencies, batched_acceptance


@dataclass(frozen=True, slots=True)
class VoiceApi:
    """The flows behind the door, each bound to what it needs. All may raise Retryable, which is answered 503."""

    accept: Callable[[NewCall, str | None], Awaitable[AcceptReceipt]]
    answered_before: Callable[[str, str], Awaitable[AcceptReceipt | None]]  # idempotency key, the body's fingerprint
    cancel: Callable[[str], Awaitable[Literal["cancelled", "already_dispatched"] | None]]
    suppress: Callable[..., Awaitable[tuple[str, list[str]]]]  # phone=, contact_id=, reason=
    lift: Callable[[str, str], Awaitable[bool]]  # suppression id, reason; False: no such suppression
    views: Views
    now: Callable[[], datetime]
    numbers: NumberPlan

    async def post_call(self, request: Request) -> Response:
        key, asked = requests.idempotency_key(request), await read_json(request)
        try:
            accepted = await self.accept(requests.read_new_call(asked, self.now(), self.numbers), key)
        except KeyReused:
            raise Problem(409, "idempotency_key_reused", "The key was used for another request.") from None
        except Problem:
            # Repeated when its `expires_at` has passed, it is refused as a new one would be; but it is none.
            before = await self.answered_before(key, requests.fingerprint(asked)) if key else None
            if before is None:
                raise
            accepted = before
        reach(Failpoint.ACCEPT_ANSWERING)
        return JSONResponse(accepted.as_json(), 202, {"Idempotent-Replayed": "true"} if accepted.replayed else None)

    async def get_calls(self, request: Request) -> Any:
        items, next_cursor = await self.views.calls(**requests.read_query(requests.CallsQuery, request, self.numbers))
        return {"items": items, "next_cursor": next_cursor}

    async def get_call(self, call_id: str) -> Any:
        return found(await self.views.call(requests.plain_id(call_id, "call")), "call")

    async def get_timeline(self, call_id: str) -> Any:
        entries = found(await self.views.timeline(requests.plain_id(call_id, "call")), "call")
        return {"call_id": call_id, "entries": entries}

    async def post_cancel(self, call_id: str) -> Any:
        return {"result": found(await self.cancel(requests.plain_id(call_id, "call")), "call")}

    async def post_suppression(self, request: Request) -> Response:
        asked = requests.read_suppression(await read_json(request), self.numbers)
        suppression_id, under_way = await self.suppress(**dict(asked))
        return JSONResponse({"suppression_id": suppression_id, "already_dispatched": under_way}, 201)

    async def get_suppressions(self, request: Request) -> Any:
        query = requests.read_query(requests.SuppressionsQuery, request, self.numbers)
        items, next_cursor = await self.views.suppressions(**query)
        return {"items": items, "next_cursor": next_cursor}

    async def delete_suppression(self, suppression_id: str, request: Request) -> Response:
        asked = requests.read_lift(await read_json(request))
        if not await self.lift(requests.plain_id(suppression_id, "suppression"), asked.reason):
            raise not_found("suppression")
        return Response(status_code=204)


def internal_routes(api: VoiceApi, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Voice API"], dependencies=[Depends(require_key)])
    told = voice_operations()
    router.post("/calls", **told["post_call"])(api.post_call)
    router.get("/calls", **told["get_calls"])(api.get_calls)
    router.get("/calls/{call_id}", **told["get_call"])(api.get_call)
    router.get("/calls/{call_id}/timeline", **told["get_timeline"])(api.get_timeline)
    router.post("/calls/{call_id}/cancel", **told["post_cancel"])(api.post_cancel)
    router.post("/suppressions", **told["post_suppression"])(api.post_suppression)
    router.get("/suppressions", **told["get_suppressions"])(api.get_suppressions)
    router.delete("/suppressions/{suppression_id}", **told["delete_suppression"])(api.delete_suppression)
    return router


def build_service(deps: Dependencies) -> Service:
    store, clock, initiation = deps.store, deps.clock, deps.call_initiation()
    api = VoiceApi(
        accept=batched_acceptance(initiation),
        answered_before=initiation.answered_before,
        cancel=partial(cancel_call, store, clock),
        suppress=partial(suppress_now, store, clock, deps.new_id),
        lift=partial(lift_suppression, store, clock),
        views=deps.views,
        now=clock.now,
        numbers=deps.numbers,
    )
    guard = deps.require_key()
    return Service("internal-api", routers=(internal_routes(api, guard), steering_routes(deps.steering(), guard)))


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
