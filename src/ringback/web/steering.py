"""The operator's routes: pause and resume, why a person is or is not called, and the feed of events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from ringback.domain.access import Permission
from ringback.domain.number_plan import NumberPlan
from ringback.ports import Views
from ringback.web import answers, openapi, requests
from ringback.web.auth import needs
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
    may_pause, may_ask = [needs(Permission.PAUSE)], [needs(Permission.EXPLAIN)]
    router.post("/dialing/pause", dependencies=may_pause, openapi_extra=pause_body, responses=told)(steering.post_pause)
    router.post("/dialing/resume", dependencies=may_pause, responses=told)(steering.post_resume)
    whom, explained = openapi.query_of(requests.WhyQuery), openapi.answers(200, answers.WhyAnswer, 404)
    router.get("/why", dependencies=may_ask, openapi_extra=whom, responses=explained)(steering.get_why)
    after, feed = openapi.query_of(requests.EventsQuery), openapi.answers(200, answers.EventsPage)
    may_read = [needs(Permission.READ_EVENTS)]
    router.get("/events", dependencies=may_read, openapi_extra=after, responses=feed)(steering.get_events)
    return router
