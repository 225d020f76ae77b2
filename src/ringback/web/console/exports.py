"""The files that the statistics' page offers: the exports of the API, for the session of a visitor."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.web.analytics_models import ExportQuery
from ringback.web.console.pages import read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.routes.exports import export_response


@dataclass(frozen=True, slots=True)
class ExportFiles:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/exports/{export}", Permission.EXPORT, self.export)]

    async def export(self, request: Request, visitor: Visitor) -> Response:
        _, query = read_query(self.site, ExportQuery, request.query_params)
        # As on every page: the console shows a whole number only where the audit log names who asked for it.
        return await export_response(self.site.flows.exports, request.path_params["export"], query, masked=True)
