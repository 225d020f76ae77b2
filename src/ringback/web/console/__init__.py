"""The console: pages for operators over the views and the flows of the APIs. Jinja2 templates, no build step."""

from starlette.routing import Route

from ringback.web.console.audit import AuditPage
from ringback.web.console.call_actions import CallActions
from ringback.web.console.deliveries import DeliveryPages
from ringback.web.console.erasure import ErasureForm
from ringback.web.console.exports import ExportFiles
from ringback.web.console.heatmap import HeatmapPage
from ringback.web.console.installation import InstallationPages
from ringback.web.console.keys import KeyPages
from ringback.web.console.live import Live
from ringback.web.console.pages import Pages
from ringback.web.console.site import Site
from ringback.web.console.streams import Streams, live_updates
from ringback.web.console.webhooks import WebhooksPage
from ringback.web.console.writes import Forms
from ringback.web.console.written import WrittenPage


def console_of(site: Site) -> tuple[list[Route], Live]:
    """Return every route of the console, and its live updates, whose loop the process runs.

    The last route is the page for addresses that do not exist.
    """
    live, pages = live_updates(site), Pages(site)
    calls = (Forms(site, pages), CallActions(site), DeliveryPages(site), HeatmapPage(site), Streams(site, live))
    parts = (
        *calls,
        WrittenPage(site),
        WebhooksPage(site),
        ExportFiles(site),
        AuditPage(site),
        ErasureForm(site),
        InstallationPages(site),
        KeyPages(site),
        pages,
    )
    return [route for part in parts for route in part.routes()], live
