"""The operator's endpoints: dialing, explanations, events, settings and the audit log."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query, Request

from ringback.domain.access import Permission
from ringback.domain.audit import Actor, AuditFilter
from ringback.domain.phone_number import NumberPlan
from ringback.storage import Views
from ringback.web import response_models
from ringback.web.auth import actor_of, needs
from ringback.web.problems import FieldProblem, found, invalid
from ringback.web.request_models import AuditQuery, EventsQuery, PauseRequest, WhyQuery
from ringback.web.strict_route import strict_router

Item = dict[str, Any]
_WITHOUT_REASON = PauseRequest(reason=None)


class AuditView(Protocol):
    async def page(self, wanted: AuditFilter, limit: int) -> tuple[list[Item], str | None]:
        """Return rows in the shape of the API, the newest first, and the cursor of the next page."""
        ...


@dataclass(frozen=True, slots=True)
class OperatorRoutes:
    """The flows of the operator's endpoints, each bound to what it needs. All may raise Retryable, answered 503."""

    pause: Callable[[str | None, Actor], Awaitable[Item]]  # the reason
    resume: Callable[[Actor], Awaitable[Item]]
    why: Callable[..., Awaitable[Item | None]]  # phone=, contact_id=; None: no such contact
    settings: Callable[[], list[tuple[str, str, str]]]  # name, value with secrets masked, origin
    views: Views
    audit: AuditView
    numbers: NumberPlan


def operator_routes(api: OperatorRoutes, require_key: Callable[[Request], Awaitable[None]]) -> APIRouter:
    router = strict_router("/v1", "Operator", api.numbers, dependencies=[Depends(require_key)])

    @router.post("/dialing/pause", dependencies=[needs(Permission.PAUSE)], response_model=response_models.DialingState)
    async def pause_dialing(request: Request, body: PauseRequest = _WITHOUT_REASON) -> Item:
        return await api.pause(body.reason, actor_of(request))

    @router.post("/dialing/resume", dependencies=[needs(Permission.PAUSE)], response_model=response_models.ResumedState)
    async def resume_dialing(request: Request) -> Item:
        return await api.resume(actor_of(request))

    @router.get(
        "/why",
        dependencies=[needs(Permission.EXPLAIN)],
        response_model=response_models.Explanation,
        responses={404: {}},
    )
    async def explain_contact(query: Annotated[WhyQuery, Query()]) -> Item:
        if (query.phone is None) == (query.contact_id is None):
            message = "Either a phone or a contact_id is required."
            raise invalid([FieldProblem("query:phone", "required", message)])
        return found(await api.why(phone=query.phone, contact_id=query.contact_id), "contact")

    @router.get("/settings", dependencies=[needs(Permission.READ_SETTINGS)], response_model=response_models.Settings)
    async def list_settings() -> Item:
        names = ("name", "value", "origin")
        return {"items": [dict(zip(names, row, strict=True)) for row in api.settings()]}

    @router.get("/audit", dependencies=[needs(Permission.READ_AUDIT)], response_model=response_models.AuditPage)
    async def list_audit_rows(query: Annotated[AuditQuery, Query()]) -> Item:
        items, next_cursor = await api.audit.page(query.filter(), query.limit)
        return {"items": items, "next_cursor": next_cursor}

    @router.get("/events", dependencies=[needs(Permission.READ_EVENTS)], response_model=response_models.EventsPage)
    async def list_events(query: Annotated[EventsQuery, Query()]) -> Item:
        items, next_cursor, has_more = await api.views.events(**dict(query))
        return {"items": items, "next_cursor": next_cursor, "has_more": has_more}

    return router
