"""The operator's routes: pause and resume, why a person is or is not called, and the feed of events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from ringback.domain.number_plan import NumberPlan
from ringback.ports import Views
from ringback.web import answers, openapi, requests
from ringback.web.json_body import parse_json
from ringback.web.problem import not_found

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Steering:
    """The flows behind the routes, each bound to what it needs. All may raise Retryable, which is answered 503."""

    pause: Callable[[str | None], Awaitable[Item]]  # the reason
    resume: Callable[[], Awaitable[Item]]
    why: Callable[..., Awaitable[Item | None]]  # phone=, contact_id=; None: no such contact
    views: Views
    numbers: NumberPlan

    async def post_pause(self, request: Request) -> Item:
        body = await request.body()
        asked = requests.read_pause(parse_json(body) if body else {})
        return await self.pause(asked.reason)

    async def post_resume(self) -> Item:
        return await self.resume()

    async def get_why(self, request: Request) -> Item:
        asked = requests.read_why(request, self.numbers)
        explanation = await self.why(phone=asked.phone, contact_id=asked.contact_id)
        if explanation is None:
            raise not_found("contact")
        return explanation

    async def get_events(self, request: Request) -> Item:
        items, next_cursor = await self.views.events(**requests.read_query(requests.EventsQuery, request, self.numbers))
        return {"items": items, "next_cursor": next_cursor}


def steering_routes(steering: Steering, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Operator"], dependencies=[Depends(require_key)])
    pause_body = openapi.body_of(requests.PauseBody)
    pause_body["requestBody"]["required"] = False
    told = openapi.answers(200, answers.DialingAnswer)
    router.post("/dialing/pause", openapi_extra=pause_body, responses=told)(steering.post_pause)
    router.post("/dialing/resume", responses=told)(steering.post_resume)
    whom = openapi.query_of(requests.WhyQuery)
    router.get("/why", openapi_extra=whom, responses=openapi.answers(200, answers.WhyAnswer, 404))(steering.get_why)
    after = openapi.query_of(requests.EventsQuery)
    router.get("/events", openapi_extra=after, responses=openapi.answers(200, answers.EventsPage))(steering.get_events)
    return router
