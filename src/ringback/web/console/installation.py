"""Pages about the installation itself: help."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site


@dataclass(frozen=True, slots=True)
class InstallationPages:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/help", Permission.USE_CONSOLE, self.help)]

    async def help(self, request: Request, visitor: Visitor) -> Response:
        return self.site.show(request, visitor, "help.html", "/help")
