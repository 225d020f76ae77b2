"""The console's page of the audit log."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.domain.audit import AuditAction
from ringback.web.console.pages import Asked, read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.request_models import AuditQuery


@dataclass(frozen=True, slots=True)
class AuditPage:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/audit", Permission.READ_AUDIT, self.show)]

    async def show(self, request: Request, visitor: Visitor) -> Response:
        asked, query = read_query(self.site, AuditQuery, request.query_params)
        items, next_cursor = await self.site.flows.operator.audit.page(query.filter(), query.limit)
        asked.pop("cursor", None)
        return self.site.show(
            request,
            visitor,
            "audit.html",
            "/audit",
            asked=Asked(asked),
            actions=list(AuditAction),
            items=[item | {"address": address_of(item["object"])} for item in items],
            next_cursor=next_cursor,
        )


def address_of(named: str | None) -> str | None:
    """Return the console's page about an object of the audit log, below its root. None: there is no page."""
    kind, _, name = (named or "").partition(":")
    match kind:
        case "call":
            return f"/calls/{name}"
        case "deliveries":
            return f"/deliveries?{urlencode({'state': name})}"
        case "suppression":
            return "/suppressions"
        case "dead_letter":
            return f"/dead-letters?{urlencode({'source': name.partition(':')[0]})}"
    return None
