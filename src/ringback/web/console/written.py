"""The console's lists of what actions wrote about a person: dispositions, notes and fields, with their CRM status."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.domain.contact import WrittenKind
from ringback.web.console.facts import PAGE_OF_WRITTEN, contacts_of, zone_of
from ringback.web.console.pages import Asked, read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.problems import FieldProblem, found, invalid
from ringback.web.request_fields import Cursor
from ringback.web.request_models import WhyQuery


class WrittenQuery(WhyQuery):
    kind: Annotated[WrittenKind, Field(strict=False)]
    call_id: Cursor | None = None
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class WrittenPage:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/written", Permission.EXPLAIN, self.show)]

    async def show(self, request: Request, visitor: Visitor) -> Response:
        asked, query = read_query(self.site, WrittenQuery, request.query_params)
        contact_ids, zone = await self._contacts(query)
        items, next_cursor = await self.site.flows.written.page(
            query.kind, contact_ids, query.call_id, cursor=query.cursor, limit=PAGE_OF_WRITTEN
        )
        asked.pop("cursor", None)
        return self.site.show(
            request,
            visitor,
            "written.html",
            "/calls",
            asked=Asked(asked),
            contact_zone=zone,
            kind=query.kind,
            items=items,
            next_cursor=next_cursor,
        )

    async def _contacts(self, query: WrittenQuery) -> tuple[list[str], str | None]:
        """The contacts of the phone, the contact or the call, and the zone of the first. Raises Problem 404 and 422."""
        flows = self.site.flows
        if sum(one is not None for one in (query.phone, query.contact_id, query.call_id)) != 1:
            message = "One of phone, contact_id and call_id is required."
            raise invalid([FieldProblem("query:contact_id", "required", message)])
        if query.call_id is not None:
            call = found(await flows.views.call_in_detail(query.call_id), "call")
            return contacts_of(call), call["time_zone"]
        told = found(await flows.operator.why(phone=query.phone, contact_id=query.contact_id), "contact")
        return [contact["contact_id"] for contact in told["contacts"]], zone_of(told)
