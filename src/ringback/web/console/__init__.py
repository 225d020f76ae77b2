"""The console: what an operator looks at, rendered by the server."""

from starlette.routing import Route

from ringback.web.console.audit import AuditPage
from ringback.web.console.pages import Pages
from ringback.web.console.site import Site
from ringback.web.console.writes import Forms


def console_routes(site: Site) -> list[Route]:
    """Return every route of the console. The last one is the page for addresses that do not exist."""
    pages = Pages(site)
    return [*Forms(site, pages).routes(), *AuditPage(site).routes(), *pages.routes()]
